"""Origins of leaked rows: reads the evidence for each, and has the ladder judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg import errors

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.known_tests import KnownTests, read_test_list
from pgwatch_tests.leaks.attribution.ladder import (
    AttributionLadder,
    RowOrigin,
    RowVerdict,
    attribution,
    full_xid,
    is_same,
)
from pgwatch_tests.leaks.attribution.own_transaction import DatabaseNow, database_now
from pgwatch_tests.leaks.attribution.transaction_log import LogFile, read_logs
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.model import TableLeak
from pgwatch_tests.leaks.statements.any_rows import AnyRowStatements
from pgwatch_tests.leaks.statements.chunks import Chunks
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings

RESULTS = Path("pgwatch-results")
"""Where `run` keeps its results, with the logs, unless it is told otherwise."""
MOST_ROWS = 2000
"""The rows examined per table: each takes memory here, and reads on the server."""

# Errors of a correct statement that may not or can't run just now.
_REFUSED = (psycopg.OperationalError, errors.InsufficientPrivilege)
_ROWS_AT_ONCE = 20_000
_XIDS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence from outside the database: transaction logs and known tests."""

    logs: tuple[LogFile, ...] = ()
    are_found: bool = False
    """Whether nobody named the logs: they were found where `run` keeps them, perhaps of other databases."""
    listed: tuple[str, ...] = ()
    """Tests that somebody named."""
    names: tuple[str, ...] = ()
    """Application names that sessions had."""


@dataclass(frozen=True, slots=True)
class _Committed:
    xid: int
    committed_us: int | None


@dataclass(frozen=True, slots=True)
class _Origin:
    """A row of MarkedRowStatements.origins."""

    position: int
    tokens: list[str]
    created_us: int | None
    xmin: int | None
    committed_us: int | None
    only_inserted: bool


def evidence(
    settings: Settings, tests: Iterable[str] = (), names: Iterable[str] = (), *, finds_logs: bool = False
) -> Evidence | None:
    """Returns the evidence in the settings' files, these tests and names of sessions; None if there is none.

    Where the settings name no logs, `finds_logs` takes those of a run in the working directory.
    Raises ConfigurationError.
    """
    tests, names = tuple(tests), tuple(names)
    logs = _found_logs() if settings.transactions is None and finds_logs else ()
    if settings.transactions is None and settings.tests is None and not (tests or names or logs):
        return None
    listed = () if settings.tests is None else read_test_list(settings.tests)
    if settings.transactions is not None:
        return Evidence(read_logs(settings.transactions), listed=(*listed, *tests), names=names)
    return Evidence(logs, bool(logs), (*listed, *tests), names)


def _found_logs() -> tuple[LogFile, ...]:
    """The logs of the last run in the working directory, its shards included; none that can't be read."""
    found: list[LogFile] = []
    for directory in sorted((*RESULTS.glob("logs"), *RESULTS.glob("*/logs"))):
        with suppress(ConfigurationError):
            found += read_logs(directory)
    return tuple(found)


class Attributor:
    """Attributes the rows of leaking tables to tests; examines at most MOST_ROWS per table."""

    def __init__(
        self,
        session: DatabaseSession,
        statements: MarkedRowStatements | AnyRowStatements,
        evidence: Evidence,
        locked: Callable[[], frozenset[int]],
    ) -> None:
        self._session = session
        self._statements = statements
        self._evidence = evidence
        self._locked = locked

    def attributed(self, leaks: Mapping[Table, TableLeak]) -> list[TableLeak]:
        """The leaks with their attribution. Raises what `session.running` does for a lost connection."""
        now = self._database()
        if self._evidence.are_found:
            self._evidence = replace(self._evidence, logs=_logs_of(now, self._evidence.logs))
            if self._evidence in (Evidence(are_found=True), Evidence()):
                return list(leaks.values())
        ladder = self._ladder(now, leaks)
        return [
            replace(leak, attribution=attribution(verdicts, leak.rows, rest))
            for group in _groups(leaks)
            for leak, verdicts, rest in self._judged(group, leaks, ladder, now)
        ]

    def _judged(
        self,
        tables: Sequence[Table],
        leaks: Mapping[Table, TableLeak],
        ladder: AttributionLadder,
        now: DatabaseNow | None,
    ) -> Iterator[tuple[TableLeak, list[RowVerdict], str]]:
        with_commit_times = now is not None and now.has_commit_timestamps
        rows, failed = self._read(tables, leaks, with_commit_times)
        forbidden = [
            table for table, error in failed.items() if isinstance(error, errors.InsufficientPrivilege)
        ]
        if forbidden:
            # With privileges on some columns only, xmin can't be read.
            more, still = self._read(forbidden, leaks, with_commit_times, with_writers=False)
            rows |= more
            failed = {table: still.get(table, error) for table, error in failed.items() if table not in more}
        for table in tables:
            origins = [_row(table, row, now) for row in rows.get(table, ())]
            yield leaks[table], list(map(ladder.judge, origins)), _rest(leaks[table], failed.get(table))

    def _read(
        self,
        tables: Sequence[Table],
        leaks: Mapping[Table, TableLeak],
        with_commit_times: bool,
        with_writers: bool = True,
    ) -> tuple[dict[Table, list[_Origin]], dict[Table, psycopg.Error]]:
        def execute(tables: Sequence[Table]) -> list[_Origin]:
            limits = [min(leaks[table].rows, MOST_ROWS) for table in tables]
            statement = self._statements.origins(tables, limits, with_writers, with_commit_times)
            return self._session.fetch(statement, _Origin)

        rows: dict[Table, list[_Origin]] = {}
        failed: dict[Table, psycopg.Error] = {}
        for table, outcome in Chunks(execute, self._locked).run(tables):
            if isinstance(outcome, _Origin):
                rows.setdefault(table, []).append(outcome)
            else:
                failed[table] = outcome
        return rows, failed

    def _ladder(self, now: DatabaseNow | None, leaks: Mapping[Table, TableLeak]) -> AttributionLadder:
        logs, database = self._evidence.logs, None if now is None else now.identity
        tests = {run.test for log in logs for run in log.runs}
        names = (*self._evidence.names, *self._application_names())
        known = KnownTests(tests.union(self._evidence.listed), names)
        since_us = (
            round(self._statements.since_s * 1_000_000)
            if isinstance(self._statements, AnyRowStatements)
            else None
        )
        ladder = AttributionLadder(logs, database, known, since_us=since_us)
        if now is None or not now.has_commit_timestamps:
            return ladder
        next_xid = int(now.next_xid)
        # Older ids have been reused by now.
        xids = [
            xid
            for xid in ladder.logged_inserts({table.oid for table in leaks})
            if 0 <= next_xid - xid < 1 << 31
        ]
        return AttributionLadder(logs, database, known, self._commit_times(xids), since_us)

    def _database(self) -> DatabaseNow | None:
        try:
            return self._session.run(database_now)
        except _REFUSED:
            return None

    def _application_names(self) -> list[str]:
        try:
            return self._session.ask_values("leaks/application_names", str)
        except _REFUSED:
            return []

    def _commit_times(self, xids: Sequence[int]) -> dict[int, int]:
        times: dict[int, int] = {}
        for start in range(0, len(xids), _XIDS_AT_ONCE):
            try:
                rows = self._session.ask(
                    "leaks/commit_times", _Committed, {"xids": list(xids[start : start + _XIDS_AT_ONCE])}
                )
            except _REFUSED:
                continue  # so subtransactions can't be matched by it
            times |= {row.xid: row.committed_us for row in rows if row.committed_us is not None}
        return times


def _logs_of(now: DatabaseNow | None, logs: Iterable[LogFile]) -> tuple[LogFile, ...]:
    """Those of the logs that are of this database."""
    if now is None:
        return ()
    return tuple(one for one in logs if one.database is not None and is_same(one.database, now.identity))


def _groups(leaks: Mapping[Table, TableLeak]) -> Iterator[list[Table]]:
    """The tables in their order, as many together as may be held in memory."""
    group: list[Table] = []
    rows = 0
    for table, leak in leaks.items():
        if group and rows + min(leak.rows, MOST_ROWS) > _ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(table)
        rows += min(leak.rows, MOST_ROWS)
    if group:
        yield group


def _row(table: Table, row: _Origin, now: DatabaseNow | None) -> RowOrigin:
    return RowOrigin(
        table_oid=table.oid,
        tokens=tuple(row.tokens),
        created_us=row.created_us,
        xid=None if row.xmin is None or now is None else full_xid(row.xmin, int(now.next_xid)),
        committed_us=row.committed_us,
        only_inserted=row.only_inserted,
    )


def _rest(leak: TableLeak, error: psycopg.Error | None) -> str:
    """Returns why rows of a table have no verdict."""
    if error is not None:
        return f"not examined: {server_message(error)}"
    if leak.rows > MOST_ROWS:
        return f"not examined: the limit is {MOST_ROWS:,} rows per table"
    return "deleted or changed after they were counted"
