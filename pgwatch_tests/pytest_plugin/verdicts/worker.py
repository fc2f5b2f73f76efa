"""Verdicts of a process that runs tests: each test's, and each wider fixture's, right after its tear-down."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import pytest

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.leaks.attribution.ladder import full_xid
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.pytest_plugin.verdicts.claims import ClaimJournal
from pgwatch_tests.pytest_plugin.verdicts.judge import (
    Judged,
    RowKind,
    Suspect,
    is_between,
    judge,
    lower,
    names_table,
    removes_rows,
    written_in,
)
from pgwatch_tests.pytest_plugin.verdicts.look import (
    Counters,
    FoundRows,
    RowsWanted,
    Shape,
    Shapes,
    find_rows,
    read_counters,
)
from pgwatch_tests.pytest_plugin.verdicts.transaction_logs import TransactionLogs, transaction_of
from pgwatch_tests.pytest_plugin.verdicts.transaction_owners import TransactionOwners, committed_with
from pgwatch_tests.pytest_plugin.verdicts.verdict_session import (
    GoneError,
    PostponedError,
    VerdictSession,
    goes_by_itself,
    served,
)
from pgwatch_tests.pytest_plugin.verdicts.words import findings_of
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase
from pgwatch_tests.testing.current_test import Owner

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

# Planning a statement on a table that the session hasn't read yet takes a millisecond.
_TABLES_AT_ONCE = 20
_MOST_TABLES = 200


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a look at a database saw."""

    counters: Counters | None = None
    last_numbers: Mapping[int, int] = field(default_factory=dict)
    """Positions of sequences, by the table's oid."""


_NOTHING_SEEN = _Sight()


@dataclass(slots=True)
class _Work:
    """The commits of an owner in one database that are to be judged."""

    owner: Owner
    database: ServedDatabase
    before: _Sight
    """What was seen last before the first of them."""
    commits: list[Commit] = field(default_factory=list)
    unknown_since: int | None = None
    """The id from which on rows may be of its commits without a known id; None: there are none of these."""
    is_late: bool = False


class WorkerVerdicts:
    """Judges each owner once it has ended; nobody who wrote nothing costs a round trip."""

    def __init__(self, active: ActivePlugin, logs: TransactionLogs) -> None:
        self._active = active
        self._logs = logs
        self._claims = ClaimJournal(active.journal)
        self._session = VerdictSession()
        self._lock = threading.Lock()
        self._began_us: dict[int, int] = {}
        self._works: dict[tuple[int, ServedDatabase], _Work] = {}
        self._sights: dict[ServedDatabase, _Sight] = {}
        self._shapes: dict[ServedDatabase, Shapes] = {}
        self._postponed: list[_Work] = []
        self._transactions: defaultdict[ServedDatabase, TransactionOwners] = defaultdict(TransactionOwners)
        self._is_last = False
        active.commits.listen(self._take)
        active.began.append(self._begin)
        active.ended.append(self._end)

    def pytest_sessionstart(self) -> None:
        """Looks at the database that the settings name, if there is one: what is there before any test."""
        dsn = self._active.dsn()
        if dsn is None or self._active.has_workers:
            return
        try:
            database = served(dsn)
            with self._session.connected(database) as connection:
                self._look_ahead(connection, database)
        except (PgwatchError, psycopg.Error):
            return  # whatever tests write to, they will tell

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, nextitem: pytest.Item | None) -> None:
        """Learns which test is the last: behind it, fixtures drop the databases of the session."""
        self._is_last = nextitem is None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Judges what was written late, after the last test."""
        self._judge(self._due(None))
        self._session.close()
        self._logs.close()

    def _begin(self, owner: Owner) -> None:
        self._began_us[owner.number] = real_time_ns() // 1000

    def _take(self, commit: Commit) -> None:
        """Takes a commit, in the thread that committed."""
        self._claims.commit(commit)
        if commit.owner is None or goes_by_itself(commit.database, self._active.dsn()):
            return
        number, database = commit.owner.number, commit.database
        if commit.xid is None and database not in self._sights:
            self._look_first(database)
        with self._lock:
            work = self._works.get((number, database))
            if work is None:
                before = self._sights.get(database, _NOTHING_SEEN)
                work = self._works[number, database] = _Work(commit.owner, database, before)
            is_first_unknown = commit.xid is None and all(one.xid is not None for one in work.commits)
            work.commits.append(commit)
            others_wrote = self._transactions[database].commit(number, commit.xid)
        if is_first_unknown:
            seen = self._sights.get(database, _NOTHING_SEEN).counters
            work.unknown_since = None if seen is None else seen.next_xid
            if others_wrote:
                # Such as a fixture in the test's set-up: what is there by now is theirs.
                work.unknown_since = self._next_xid(database) or work.unknown_since

    def _end(self, owner: Owner) -> None:
        self._judge(self._due(owner))
        self._logs.end(owner)
        if self._is_last:
            self._session.leave()

    def _due(self, owner: Owner | None) -> list[_Work]:
        """Returns what is to be judged: an owner that has just ended, what is late, what was postponed."""
        if not self._works and not self._postponed:
            return []
        due, self._postponed = self._postponed, []
        with self._lock:
            keys = [key for key, work in self._works.items() if work.owner.has_ended]
            ended = [self._works.pop(key) for key in keys]
        for work in ended:
            work.is_late = work.owner is not owner
        return due + ended

    def _judge(self, due: Iterable[_Work]) -> None:
        by_database: dict[ServedDatabase, list[_Work]] = {}
        for work in due:
            by_database.setdefault(work.database, []).append(work)
        for database, works in by_database.items():
            try:
                with self._session.connected(self._reachable(database)) as connection:
                    self._look(connection, database, works)
            except GoneError:
                self._sights.pop(database, None)  # and all rows in it are gone as well
                self._logs.gone(database)
            except PostponedError:
                self._postponed += works
            except (PgwatchError, psycopg.Error) as error:
                reason = f"rows that it may have left in {database.name}: {_first_line(error)}"
                for work in works:
                    self._active.not_checked(reason, work.owner)
                    self._logs.committed(work.owner, database, work.commits)

    def _look(self, connection: OwnConnection, database: ServedDatabase, works: Sequence[_Work]) -> None:
        self._logs.open(connection, database)
        client_us = real_time_ns() // 1000
        counters = read_counters(connection)
        ahead_us = counters.now_us - client_us
        last_numbers = dict(self._sights.get(database, _NOTHING_SEEN).last_numbers)
        for work in works:
            last_numbers |= self._look_for(connection, work, counters, ahead_us)
        self._see(database, _Sight(counters, last_numbers))

    def _see(self, database: ServedDatabase, sight: _Sight) -> None:
        with self._lock:
            self._sights[database] = sight
            self._transactions[database].look()

    def _look_for(
        self, connection: OwnConnection, work: _Work, counters: Counters, ahead_us: int
    ) -> dict[int, int]:
        """Looks for the rows of one owner, and tells what is left of it. Returns positions of sequences."""
        own = [one.xid for one in work.commits if one.xid is not None]
        wanted = RowsWanted(own, _since(work))
        began_us = self._began_us.get(work.owner.number, 0)
        suspect = Suspect(
            digest=digest(work.owner.name) if work.owner.kind == "test" else "",
            began_us=began_us,
            began_server_us=began_us + ahead_us,
            xids=lower(own),
            written=written_in(work.commits),
        )
        unread = []
        last_numbers = {}
        ids, kinds = set(own), defaultdict[int, set[RowKind]](set)
        shapes = self._shapes_to_look_at(connection, work, counters)
        for some in _parts(shapes):
            for found in find_rows(connection, some, wanted):
                if found.why_not:
                    unread.append(found)
                    kinds[found.shape.root_oid].add("unclear")
                    continue
                if found.last_number is not None:
                    last_numbers[found.shape.oid] = found.last_number
                judged = self._judged(connection, work, found, suspect, counters)
                self._tell(work, judged)
                kinds[found.shape.root_oid].update(judged.kinds)
                ids |= {xid for own in judged.own if (xid := full_xid(own, counters.next_xid))}
        for found in unread:
            self._active.not_checked(f"{found.shape.name}: {found.why_not}")
        is_complete = counters.counts_at_once and len(shapes) < _MOST_TABLES
        transactions = [transaction_of(xid, kinds, is_complete=is_complete) for xid in sorted(ids)]
        self._logs.committed(work.owner, work.database, work.commits, transactions)
        return last_numbers

    def _judged(
        self,
        connection: OwnConnection,
        work: _Work,
        found: FoundRows,
        suspect: Suspect,
        counters: Counters,
    ) -> Judged:
        before, now = work.before.counters, counters.tables.get(found.shape.oid)
        then = None if before is None or now is None else before.tables.get(now.oid)
        counts_at_once = counters.counts_at_once and all(one.has_flushed_counters for one in work.commits)
        counts_at_once = counts_at_once and not (now is not None and now.is_rewritten_since(then))
        may_be_updated = not counts_at_once or now is None or now.updated > (then.updated if then else 0)
        may_be_restored = removes_rows(suspect.written, found.shape.table, found.shape.root_table) and (
            not counts_at_once or now is None or now.growth_since(then) < found.rows
        )
        others = {row.xmin for row in found.told} - suspect.xids
        if others:
            others = self._transactions[work.database].beside(work.owner.number, others)
            mine = self._own_ids(connection, work, found.shape, others, counters)
            suspect = Suspect(
                suspect.digest,
                suspect.began_us,
                suspect.began_server_us,
                suspect.xids | mine,
                suspect.written,
            )
        last_number = work.before.last_numbers.get(found.shape.oid)
        return judge(
            found,
            suspect,
            may_be_updated=may_be_updated,
            may_be_restored=may_be_restored,
            last_number=last_number,
        )

    def _own_ids(
        self,
        connection: OwnConnection,
        work: _Work,
        shape: Shape,
        others: set[int],
        counters: Counters,
    ) -> frozenset[int]:
        """Returns those of other ids in rows that are the owner's, as a fact: of its subtransactions, and
        where nobody else of the run writes to the database, of its commits without a known id."""
        tops = [one.xid for one in work.commits if one.xid is not None and one.has_savepoints]
        possible = {xmin for xmin in others if any(is_between(xmin, top, counters.next_xid) for top in tops)}
        mine: set[int] = set()
        if self._is_alone_in(work.database):
            mine |= possible
            if any(one.xid is None for one in work.commits) and names_table(
                written_in(work.commits), shape.table, shape.root_table
            ):
                since = work.unknown_since
                mine |= {
                    xmin for xmin in others if since is None or is_between(xmin, since - 1, counters.next_xid)
                }
        elif possible and counters.has_commit_times:
            mine |= committed_with(connection, possible, tops)
        return frozenset(mine)

    def _tell(self, work: _Work, judged: Judged) -> None:
        shape = judged.found.shape
        for finding in findings_of(work.owner, judged, is_late=work.is_late):
            self._active.found(finding)
        rows = {row.xmin for row in judged.found.told}
        may_be_its_own = any(one.xid is None or one.has_savepoints for one in work.commits)
        others = judged.of_others if may_be_its_own else ()
        told = rows - set(judged.of_others)
        self._transactions[work.database].judge(work.owner.number, told)
        if told or others:
            self._claims.judged(work.owner, work.database, shape.name, told, others)

    def _shapes_to_look_at(self, connection: OwnConnection, work: _Work, counters: Counters) -> list[Shape]:
        """Returns the tables that were written to meanwhile, as the server's counters say where these are up
        to date, and as the owner's statements say where they aren't."""
        shapes = self._shapes.setdefault(work.database, Shapes())
        before = {} if work.before.counters is None else work.before.counters.tables
        moved = [one for one in counters.tables.values() if one.has_moved_since(before.get(one.oid))]
        if counters.counts_at_once and all(one.xid is not None for one in work.commits):
            return shapes.of(connection, moved[:_MOST_TABLES])
        written = written_in(work.commits)
        moved_oids = {one.oid for one in moved}
        return [
            shape
            for shape in shapes.of(connection, list(counters.tables.values()))
            if shape.oid in moved_oids or names_table(written, shape.table, shape.root_table)
        ][:_MOST_TABLES]

    def _look_first(self, database: ServedDatabase) -> None:
        """Looks at a database before the first write whose transaction won't be known."""
        self._sights[database] = _NOTHING_SEEN
        try:
            with self._session.connected(self._reachable(database)) as connection:
                self._look_ahead(connection, database)
        except (PgwatchError, psycopg.Error):
            return  # the verdict will tell

    def _look_ahead(self, connection: OwnConnection, database: ServedDatabase) -> None:
        self._logs.open(connection, database)
        counters = read_counters(connection)
        shapes = self._shapes.setdefault(database, Shapes())
        tables = list(counters.tables.values())[:_MOST_TABLES]
        last_numbers = {
            found.shape.oid: found.last_number
            for some in _parts(shapes.of(connection, tables))
            for found in find_rows(connection, some, RowsWanted())
            if found.last_number is not None
        }
        self._see(database, _Sight(counters, last_numbers))

    def _next_xid(self, database: ServedDatabase) -> int | None:
        """Returns the next transaction's id; None if nobody tells."""
        try:
            with self._session.connected(self._reachable(database)) as connection:
                return read_counters(connection).next_xid
        except (PgwatchError, psycopg.Error):
            return None

    def _is_alone_in(self, database: ServedDatabase) -> bool:
        """Whether no other worker of the run writes to a database, as far as its name says."""
        worker = self._active.shared.worker
        return not worker or re.search(rf"(?<![0-9A-Za-z]){re.escape(worker)}$", database.name) is not None

    def _reachable(self, database: ServedDatabase) -> ServedDatabase:
        """Returns the database with a connection string, if one is known at all."""
        if database.dsn:
            return database
        base = self._active.dsn()
        if base is None:
            return database
        dsn = in_database(Dsn(base, "the settings"), database.name).value
        return ServedDatabase(database.host, database.port, database.name, dsn)


def _since(work: _Work) -> int | None:
    """Returns the id from which on rows may be the owner's though their ids aren't known; None: none may."""
    firsts = [one.xid for one in work.commits if one.xid is not None and one.has_savepoints]
    before = work.before.counters
    if before is not None and any(one.xid is None for one in work.commits):
        firsts.append(before.next_xid)
    return min(firsts) if firsts else None


def _parts(shapes: Sequence[Shape]) -> Iterator[Sequence[Shape]]:
    for start in range(0, len(shapes), _TABLES_AT_ONCE):
        yield shapes[start : start + _TABLES_AT_ONCE]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
