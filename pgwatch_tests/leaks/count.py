"""Counts the marked rows of a whole database."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg
from psycopg import errors, pq

from pgwatch_tests import queries
from pgwatch_tests.config import Settings
from pgwatch_tests.errors import NotCheckedError
from pgwatch_tests.leaks.any_rows import AnyRows, Sampled, with_samples
from pgwatch_tests.leaks.chunks import Chunks
from pgwatch_tests.leaks.comparison import Comparison, Since
from pgwatch_tests.leaks.compose import Statements
from pgwatch_tests.leaks.discover import Discovery, Identity, Table, discover, shown, without_ignored
from pgwatch_tests.leaks.ignore import Ignores
from pgwatch_tests.leaks.leftovers import look
from pgwatch_tests.leaks.look_since import look_since
from pgwatch_tests.leaks.markers import markers
from pgwatch_tests.leaks.model import LeakReport, LeftoverKind, Skipped, TableLeak
from pgwatch_tests.leaks.obstacles import Obstacles
from pgwatch_tests.leaks.origins import Attributor, evidence
from pgwatch_tests.leaks.samples import shortened
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.said import said
from pgwatch_tests.server.version import in_words

# From this size on, reading a table twice costs more than asking for everything at once. (64 MB)
_LARGE_PAGES = 8192
# What a table costs that has no rows, in pages of one that has some.
_PAGES_A_TABLE = 3

Progress = Callable[[int, int], None]
"""Told how many tables are done, of how many; in the thread that scans."""


def scan(
    settings: Settings,
    progress: Progress | None = None,
    kinds: Collection[LeftoverKind] = (),
    since: Since | None = None,
) -> LeakReport:
    """Counts the marked rows of the database that `settings.dsn` names. See LeakScan."""
    return LeakScan(settings, progress, kinds, since).run()


@dataclass(frozen=True, slots=True)
class _Count:
    position: int
    rows: int
    before: int = 0


@dataclass(frozen=True, slots=True)
class _Details:
    position: int
    rows: int
    matched: list[bool | None]
    oldest: float | None
    newest: float | None
    first_sample: str | None
    last_sample: str | None
    before: int = 0


class LeakScan:
    """One scan of one database: `run` it once, in any thread; `cancel` it from any other.

    `kinds` are the leftovers beside rows that it looks for as well, and `demanded` those that were asked for
    by name; with `since`, only what is new counts.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        kinds: Collection[LeftoverKind] = (),
        since: Since | None = None,
        demanded: Collection[LeftoverKind] = (),
    ) -> None:
        self._settings = settings
        self._demanded = demanded
        self._progress = progress
        self._kinds = kinds
        self._since = since
        self._rows_before = 0
        self._session = ScanSession(settings)
        self._obstacles = Obstacles(self._session, settings)
        self._work_done = 0
        self._work = 1

    @property
    def share_done(self) -> float:
        """How much of the counting is done, 0 to 1, by the pages that the tables have. For any thread."""
        return self._work_done / self._work

    def cancel(self) -> None:
        """Makes `run` end with ScanCancelledError within moments, and the server stop. Returns at once."""
        self._session.cancel()

    def run(self) -> LeakReport:
        """Connects and counts, in as many short transactions as the database is large.

        What can't be read is in the report's `skipped`. Raises CannotConnectError, ConnectionLostError,
        ConfigurationError (a marker or an ignore that isn't one, a log that can't be read, another database's
        baseline), NotCheckedError (not even the catalogs can be read) and ScanCancelledError.
        """
        begun, checked_at = time.monotonic(), datetime.now(UTC)
        wanted = () if self._any_rows else markers(self._settings.markers)
        ignores, known = Ignores(self._settings.ignore), evidence(self._settings)
        with closing(self._session) as session:
            session.open()
            if "advisory_lock" in self._demanded:
                session.connection.require_session("looking for advisory locks")
            escaping = pq.Escaping(session.connection.pgconn)
            try:
                identity = session.fetch(queries.load("leak_identity").encode(), Identity)[0]
                usable = self._obstacles.usable(wanted, escaping)
                comparison = None if self._since is None else Comparison(session, self._since)
                discovery, untouched = self._discover(identity.role, ignores, comparison)
            except psycopg.Error as error:
                raise NotCheckedError(
                    f"the catalogs can't be read, so nothing was checked: {said(error)}"
                ) from error
            unseen = None if comparison is None else comparison.unseen
            statements: Statements | AnyRows = (
                AnyRows(escaping, unseen)
                if unseen is not None and self._any_rows
                else Statements(escaping, usable, unseen)
            )
            counted, skipped = self._count(discovery.tables, statements)
            found = dict(self._leaks(counted, statements))
            leaks = list(found.values())
            if known is not None:
                leaks = Attributor(session, statements, known, self._obstacles.locked).attributed(found)
            rows_before = None if self._any_rows else self._rows_before
            rows = {table: count.rows for table, count in counted.items()}
            baseline = None if comparison is None else comparison.use(rows, untouched, rows_before)
            before = None if self._since is None else self._since.baseline
            asking = (session, self._settings, identity.role, self._kinds)
            left = look(*asking, before)
            if before is not None and comparison is not None and baseline is not None:
                since = look_since(*asking, before, comparison)
                left = left.beside(since.leftovers)
                baseline = replace(baseline, gone=since.gone)
            server_version = in_words(session.connection.info.server_version)
        return LeakReport(
            checked_at=checked_at,
            server_version=server_version,
            database=identity.database,
            markers=tuple(marker.name for marker in wanted),
            tables_checked=len(counted) + untouched,
            tables=tuple(sorted(leaks, key=lambda leak: (-leak.rows, leak.schema, leak.table))),
            skipped=tuple(
                sorted(
                    (*discovery.skipped, *skipped),
                    key=lambda table: (table.schema, table.table, table.reason),
                )
            ),
            duration_s=time.monotonic() - begun,
            mode="any" if self._any_rows else "marked",
            baseline=baseline,
            leftovers=left.found,
            unchecked=left.unchecked,
            kinds_checked=left.kinds,
            ignored=discovery.ignored,
            away_s=tuple(session.away_s),
        )

    @property
    def _any_rows(self) -> bool:
        return self._since is not None and self._since.any_rows

    def _discover(self, role: str, ignores: Ignores, comparison: Comparison | None) -> tuple[Discovery, int]:
        """What to count in, and how many tables need no look."""
        if comparison is not None and self._any_rows:
            return comparison.divide(without_ignored(comparison.discover(role), ignores), role)
        discovery = self._session.run(lambda connection: discover(connection, role, ignores))
        return (discovery, 0) if comparison is None else comparison.divide(discovery, role)

    def _count(
        self, tables: Sequence[Table], statements: Statements | AnyRows
    ) -> tuple[dict[Table, _Count | _Details], list[Skipped]]:
        counted: dict[Table, _Count | _Details] = {}
        skipped: list[Skipped] = []
        self._work = max(1, sum(map(_work, tables)))
        self._tell(0, len(tables))
        for done, (table, outcome) in enumerate(self._outcomes(tables, statements), start=1):
            if isinstance(outcome, psycopg.Error):
                skipped.extend(self._obstacles.why(table, outcome))
            else:
                counted[table] = outcome
                self._rows_before += outcome.before
            self._work_done += _work(table)
            self._tell(done, len(tables))
        return counted, skipped

    def _outcomes(
        self, tables: Sequence[Table], statements: Statements | AnyRows
    ) -> Iterator[tuple[Table, _Count | _Details | psycopg.Error]]:
        counting = list(tables)
        # Read once, a large table that leaks takes half the time; what was there before is only counted.
        if isinstance(statements, Statements) and not statements.compares:
            counting = [table for table in tables if table.pages < _LARGE_PAGES]
            for table, outcome in self._details((t for t in tables if t.pages >= _LARGE_PAGES), statements):
                if isinstance(outcome, _Details | errors.LockNotAvailable | errors.QueryCanceled):
                    yield table, outcome
                else:
                    counting.append(table)  # without details, perhaps
        chunks = Chunks(
            lambda part: self._session.fetch(statements.count(part), _Count), self._obstacles.locked
        )
        yield from chunks.run(counting)

    def _details(
        self, tables: Iterable[Table], statements: Statements
    ) -> Iterator[tuple[Table, _Details | psycopg.Error]]:
        chunks = Chunks(
            lambda part: self._session.fetch(statements.details(part), _Details), self._obstacles.locked
        )
        return chunks.run(tables)

    def _leaks(
        self, counted: Mapping[Table, _Count | _Details], statements: Statements | AnyRows
    ) -> Iterator[tuple[Table, TableLeak]]:
        leaking = [table for table, count in counted.items() if count.rows and isinstance(count, _Count)]
        later: dict[Table, _Details | Sampled | psycopg.Error] = {}
        if isinstance(statements, AnyRows):
            chunks = Chunks(
                lambda part: self._session.fetch(statements.samples(part), Sampled), self._obstacles.locked
            )
            later.update(chunks.run(leaking))
        else:
            later.update(self._details(leaking, statements))
        for table, count in counted.items():
            if count.rows:
                leak = TableLeak(shown(table.schema), shown(table.name), table.kind, (), count.rows)
                # Without details, the count still stands.
                match later.get(table, count):
                    case _Details() as details:
                        leak = _with_details(leak, table, details)
                    case Sampled() as samples:
                        leak = with_samples(leak, table, samples)
                yield table, leak

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)


def _work(table: Table) -> int:
    return table.pages + _PAGES_A_TABLE


def _with_details(leak: TableLeak, table: Table, details: _Details) -> TableLeak:
    matched = zip(table.columns, details.matched, strict=True)
    samples = dict.fromkeys(
        shortened(value) for value in (details.first_sample, details.last_sample) if value is not None
    )
    return replace(
        leak,
        columns=tuple(shown(column) for column, matches in matched if matches),
        oldest=_time(details.oldest),
        newest=_time(details.newest),
        samples=tuple(samples),
    )


def _time(epoch_s: float | None) -> datetime | None:
    if epoch_s is None:
        return None
    try:
        return datetime.fromtimestamp(epoch_s, UTC)
    except (OverflowError, ValueError):
        return None  # PostgreSQL's years go further than Python's
