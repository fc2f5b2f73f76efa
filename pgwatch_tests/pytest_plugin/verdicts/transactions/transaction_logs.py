"""The transaction logs of a session, which `leaks --transactions` and sweeps read afterwards.

A process that runs tests logs each test as it begins and ends, with the ids of its transactions, and what the
verdict has found of them. In the end, the controller adds what only journals know: commits of servers under
test, and of tests whose worker was killed. Nothing is logged where nobody keeps the directory.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.leaks.attribution.ladder import full_xid
from pgwatch_tests.leaks.attribution.own_transaction import clock_offset, database_now
from pgwatch_tests.leaks.attribution.test_runs import DatabaseIdentity, Written
from pgwatch_tests.leaks.attribution.transaction_log import LogFile, TransactionLog, read_logs
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.pytest_plugin.verdicts.claims import Claim, Claims
from pgwatch_tests.pytest_plugin.verdicts.judge import CIRCLE, RowKind, as_stated
from pgwatch_tests.pytest_plugin.verdicts.look import FoundRows
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

# Each has all tests in its log; a suite with a database per test has them dropped by the end of it.
_MOST_DATABASES = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in tables, by the oids of their roots, as far as an owner's commits may have written them."""

    may_write: frozenset[int] | None = frozenset()
    """The tables that its commits may have written to; None: any."""
    perhaps: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """The ids in rows that may be of its commits without a known id."""

    @classmethod
    def of(
        cls, may_write: frozenset[int] | None, perhaps: Mapping[int, Collection[int]], next_xid: int
    ) -> Rows:
        """Takes the ids as rows have them: the lower 32 bits of those before `next_xid`."""
        whole = {
            oid: frozenset(xid for one in xmins if (xid := full_xid(one, next_xid)) is not None)
            for oid, xmins in perhaps.items()
            if xmins
        }
        return cls(may_write, whole)


@dataclass(frozen=True, slots=True)
class _Committed:
    """What an owner has committed in one database."""

    transactions: Sequence[Written] = ()
    unknown: Sequence[str] = ()
    """How those commits were made that don't tell all ids."""
    rows: Rows = field(default_factory=Rows)

    def __add__(self, more: _Committed) -> _Committed:
        tables = self.rows.may_write, more.rows.may_write
        perhaps = dict(self.rows.perhaps)
        for oid, xids in more.rows.perhaps.items():
            perhaps[oid] = perhaps.get(oid, frozenset()) | xids
        return _Committed(
            (*self.transactions, *more.transactions),
            (*self.unknown, *more.unknown),
            Rows(None if None in tables else frozenset().union(*filter(None, tables)), perhaps),
        )


_NOTHING = _Committed()
NOT_TOLD = Rows(None)
"""Nobody could look which rows may be an owner's."""


class _Run:
    """A test, or a fixture, and what of it isn't logged yet."""

    __slots__ = ("began_us", "ended_us", "has_unlogged", "numbers", "outcome", "owner", "pending")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.began_us = real_time_ns() // 1000
        self.ended_us: int | None = None
        self.has_unlogged = False
        self.outcome = "passed"
        self.numbers: dict[ServedDatabase, int] = {}
        self.pending: dict[ServedDatabase, _Committed] | None = None


class TransactionLogs:
    """The logs of a process that runs tests, one per database; for any thread."""

    def __init__(self, active: ActivePlugin) -> None:
        self._active = active
        self.are_kept = not active.shared.is_temporary
        """Whether anything is logged: somebody keeps the directory, and it can be written to."""
        self._runs: dict[int, _Run] = {}
        self._logs: dict[ServedDatabase, TransactionLog] = {}
        self._refused: set[ServedDatabase] = set()
        self._current: _Run | None = None
        self._lock = threading.Lock()
        if self.are_kept:
            active.began.append(self._begin)
            active.failed.append(self._learn_outcome)

    def _learn_outcome(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, at: float
    ) -> None:
        """Learns the outcome of a test; that of its tear-down comes too late."""
        if self._current is not None and report.outcome != "passed":
            self._current.outcome = report.outcome

    def open(self, connection: OwnConnection, database: ServedDatabase) -> None:
        """Begins the log of a database, if it has none, with the tests that have run until now."""
        if not self.are_kept or database in self._logs or len(self._logs) >= _MOST_DATABASES:
            return
        if database in self._refused:
            return
        try:
            identity, clock = database_now(connection).identity, clock_offset(connection)
        except psycopg.Error as error:
            # Such as a role that may not read which server this is. The verdict does without.
            self._refused.add(database)
            _tell_unlogged(self._active, error)
            return
        shared = self._active.shared
        with self._lock:
            try:
                log = TransactionLog(
                    Path(shared.log_directory), identity, shared.worker, clock, shared.session
                )
                self._logs[database] = log
                for run in self._runs.values():
                    if run.owner.kind == "test":
                        number = run.numbers[database] = log.began(run.owner.name, run.began_us)
                        if run.ended_us is not None:
                            written = None if run.has_unlogged else frozenset[int]()
                            log.ended(number, run.outcome, at_us=run.ended_us, may_write=written)
            except OSError as error:
                self._give_up(error)

    def gone(self, database: ServedDatabase) -> None:
        """Closes the log of a database that isn't there any more."""
        with self._lock:
            log = self._logs.pop(database, None)
            if log is not None:
                log.close()

    def committed(
        self,
        owner: Owner,
        database: ServedDatabase,
        commits: Sequence[Commit],
        transactions: Sequence[Written] | None = None,
        rows: Rows = NOT_TOLD,
    ) -> None:
        """Takes what an owner has committed: logged with its end, or at once if it is over.

        `transactions` say which rows of theirs are left, and `rows` which may be; None: nobody could look at
        them.
        """
        if transactions is None:
            transactions = [Written(one.xid, is_judged=True) for one in commits if one.xid is not None]
        committed = _Committed(transactions, _unknown_of(commits), rows)
        log, run = self._logs.get(database), self._runs.get(owner.number)
        if run is not None and log is None:
            run.has_unlogged = True
        if log is None or run is None:
            return
        with self._lock:
            if run.ended_us is None:
                pending = run.pending = run.pending or {}
                pending[database] = pending.get(database, _NOTHING) + committed
                return
            try:
                number = run.numbers.get(database)
                if number is None:
                    self._log_end(run, database, log, committed)
                    return
                for one in transactions:
                    log.wrote(number, one)
                _log_perhaps(log, number, committed)
            except OSError as error:
                self._give_up(error)

    def end(self, owner: Owner, postponed: Collection[ServedDatabase] = ()) -> None:
        """Logs the end of a test, and what it or a fixture has committed, by one write per database.

        What it has written to the `postponed` databases is yet to be judged.
        """
        run = self._runs.get(owner.number)
        if run is None:
            return
        with self._lock:
            run.ended_us = real_time_ns() // 1000
            try:
                for database, log in self._logs.items():
                    committed = None if run.pending is None else run.pending.get(database)
                    if owner.kind == "test" or committed is not None:
                        is_told = database not in postponed and not run.has_unlogged
                        untold = _NOTHING if is_told else _Committed(rows=NOT_TOLD)
                        self._log_end(run, database, log, (committed or _NOTHING) + untold)
            except OSError as error:
                self._give_up(error)
            run.pending = None

    def close(self) -> None:
        """Closes all logs."""
        with self._lock:
            self._close()

    def _begin(self, owner: Owner) -> None:
        run = self._runs[owner.number] = _Run(owner)
        if owner.kind != "test":
            return
        self._current = run
        with self._lock:
            try:
                for database, log in self._logs.items():
                    run.numbers[database] = log.began(owner.name, run.began_us)
            except OSError as error:
                self._give_up(error)

    def _log_end(
        self, run: _Run, database: ServedDatabase, log: TransactionLog, committed: _Committed
    ) -> None:
        number = run.numbers.get(database)
        if number is None:
            is_fixture = run.owner.kind == "fixture"
            number = run.numbers[database] = log.began(run.owner.name, run.began_us, is_fixture=is_fixture)
        _log_perhaps(log, number, committed)
        log.ended(
            number,
            run.outcome,
            committed.transactions,
            Counter(committed.unknown) if committed.unknown else {},
            run.ended_us,
            committed.rows.may_write,
        )

    def _give_up(self, error: OSError) -> None:
        self.are_kept = False
        self._close()
        _tell_unlogged(self._active, error)

    def _close(self) -> None:
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        self._runs.clear()


def _log_perhaps(log: TransactionLog, number: int, committed: _Committed) -> None:
    for oid, xids in committed.rows.perhaps.items():
        log.may_have_written(number, oid, xids)


def complete(
    active: ActivePlugin, claims: Claims, found: Mapping[ServedDatabase, Sequence[FoundRows]]
) -> None:
    """Logs what journals claim and no log of the session has; `found` are the rows left in the end."""
    shared = active.shared
    if shared.is_temporary:
        return
    directory = Path(shared.log_directory)
    try:
        logs = [one for one in read_logs(directory) if one.session == shared.session]
        for (identity, worker), by_owner in _missing(logs, claims).items():
            runs = [run for one in logs if one.database == identity for run in one.runs]
            clock = next((run.clock for run in runs if run.worker == worker), None)
            outcomes = {run.test: run.outcome for run in runs if run.worker == worker}
            with TransactionLog(directory, identity, worker, clock, shared.session) as log:
                for (kind, name, _), some in by_owner.items():
                    number = log.began(name, min(one.at_us for one in some), is_fixture=kind == "fixture")
                    log.ended(
                        number,
                        outcomes.get(name) or "killed",
                        _transactions(some, found),
                        Counter(_unknown_of(some)),
                        max(one.at_us for one in some),
                    )
    except (OSError, PgwatchError) as error:
        _tell_unlogged(active, error)


_Owner = tuple[str, str, int]
"""Kind, name and attempt."""


def _missing(
    logs: Sequence[LogFile], claims: Claims
) -> dict[tuple[DatabaseIdentity, str], dict[_Owner, list[Claim]]]:
    """Returns the claims that no log has, by database and worker, and by owner."""
    identities: dict[str, set[DatabaseIdentity]] = {}
    for log in logs:
        if log.database is not None:
            identities.setdefault(log.database.name, set()).add(log.database)
    logged = {(log.database, one.xid) for log in logs for run in log.runs for one in run.transactions}
    unended = {(run.test, run.worker) for log in logs for run in log.runs if run.ended_us is None}
    missing: dict[tuple[DatabaseIdentity, str], dict[_Owner, list[Claim]]] = {}
    for claim in claims.claims:
        owner, here = claim.owner, identities.get(claim.database.name, set())
        if owner is None or owner.kind == "other" or len(here) != 1:
            continue  # two servers may have databases of one name
        [identity] = here
        is_missing = (identity, claim.xid) not in logged
        if claim.xid is None:
            is_missing = claim.is_of_server or (owner.name, owner.worker) in unended
        if is_missing:
            by_owner = missing.setdefault((identity, owner.worker), {})
            by_owner.setdefault((owner.kind, owner.name, owner.attempt), []).append(claim)
    return missing


def _transactions(
    claims: Iterable[Claim], found: Mapping[ServedDatabase, Sequence[FoundRows]]
) -> list[Written]:
    written = []
    for claim in claims:
        if claim.xid is None:
            continue
        tables = found.get(claim.database)
        if tables is None:
            written.append(Written(claim.xid, is_judged=True))
            continue
        kinds: dict[int, set[RowKind]] = {}
        for table in tables:
            shape = table.shape
            if any(row.xmin == claim.xid % CIRCLE for row in table.told):
                stated = as_stated(claim.written, shape.table, shape.root_table)
                kinds.setdefault(shape.root_oid, set()).add(stated)
            elif table.why_not or table.rows > len(table.told):
                kinds.setdefault(shape.root_oid, set()).add("unclear")
        written.append(transaction_of(claim.xid, kinds))
    return written


def _unknown_of(commits: Iterable[Commit | Claim]) -> list[str]:
    """Returns how those commits were made that have no known id, or more than the known one."""
    return [
        "savepoint" if one.xid is not None else one.unknown or "driver"
        for one in commits
        if one.xid is None or one.has_savepoints
    ]


def transaction_of(xid: int, kinds: Mapping[int, Iterable[RowKind]], *, is_complete: bool = True) -> Written:
    """Returns a transaction as it is logged, by the kinds of its rows in tables, by their oids."""
    inserted, changed = set(), set()
    for oid, some in kinds.items():
        for kind in some:
            if kind != "changed":
                inserted.add(oid)
            if kind != "new":
                changed.add(oid)
    return Written(
        xid, None, frozenset(inserted), frozenset(changed), is_judged=True, is_complete=is_complete
    )


def _tell_unlogged(active: ActivePlugin, error: Exception) -> None:
    reason = f"the transaction log of this run isn't complete, so that `leaks` names fewer tests: {error}"
    with suppress(OSError):
        active.found(Finding("not_checked", None, reason, fails=False))
