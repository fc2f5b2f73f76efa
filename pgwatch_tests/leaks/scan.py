"""The leak scan of a database: counts and describes its marked rows, then looks for leftovers."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain

import psycopg
from psycopg import errors, pq

from pgwatch_tests.leaks.attribution.origins import Attributor, evidence
from pgwatch_tests.leaks.baseline.baseline import is_empty
from pgwatch_tests.leaks.baseline.changes_since import find_changes_since
from pgwatch_tests.leaks.baseline.comparison import Comparison, Since
from pgwatch_tests.leaks.catalog.discovery import discover, without_ignored
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import Obstacles, reading_catalogs
from pgwatch_tests.leaks.catalog.tables import Discovery, Table
from pgwatch_tests.leaks.leftovers import look
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.model import (
    LeakReport,
    LeftoverKind,
    ProgressCallback,
    Skipped,
    TableLeak,
    shortened_sample,
    time_from_epoch,
)
from pgwatch_tests.leaks.statements.any_rows import AnyRowStatements, Sampled, with_samples
from pgwatch_tests.leaks.statements.chunks import Chunks
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import Identity
from pgwatch_tests.postgres.runs import runs_at_work
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.postgres.version import in_words
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.sql_names import shown

# From this size on, reading a table twice costs more than asking for everything at once. (64 MB)
_LARGE_PAGES = 8192
# The cost of an empty table, in pages of a table with rows.
_PAGES_A_TABLE = 3

_ROUNDS = 4
"""The attempts to count tables that somebody changes meanwhile."""
_CATALOG_CHANGES = queries.load("leaks/catalog_changes").encode()
_CHANGES = ("changed during every attempt to check it", "run it again when nobody changes tables")


def scan(
    settings: Settings,
    progress: ProgressCallback | None = None,
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
class _Catalogs:
    """The row of queries/leaks/catalog_changes.sql."""

    changed: bool
    snapshot: str


@dataclass(frozen=True, slots=True)
class _Details:
    position: int
    rows: int
    matched: list[bool | None]
    oldest: float | None
    newest: float | None
    committed: float | None
    first_sample: str | None
    last_sample: str | None
    before: int = 0


@dataclass(slots=True)
class _Counts:
    """The tables that were discovered, with their counts, or why there is none."""

    discovery: Discovery
    untouched: int
    """The number of tables that needed no look."""
    of: dict[Table, _Count | _Details] = field(default_factory=dict)
    skipped: dict[Table, list[Skipped]] = field(default_factory=dict)

    def replace(self, discovery: Discovery, untouched: int) -> list[Table]:
        """Replaces the tables by those discovered later. Returns the new and changed ones."""
        before = {table.oid: table for table in (*self.of, *self.skipped)}
        same = {
            known
            for table in discovery.tables
            if (known := before.get(table.oid)) is not None and known.is_still(table)
        }
        self.discovery, self.untouched = discovery, untouched
        self.of = {table: count for table, count in self.of.items() if table in same}
        self.skipped = {table: skipped for table, skipped in self.skipped.items() if table in same}
        known_oids = {table.oid for table in same}
        return [table for table in discovery.tables if table.oid not in known_oids]


class LeakScan:
    """One scan of one database: a `pgwatch_tests.task.Task`.

    `kinds` are the leftovers beside rows that it looks for as well, and `demanded` those that were asked for
    by name; with `since`, only what is new counts. `tests` may have left rows, besides those of the settings,
    and tests that sessions of these `names` named.
    """

    def __init__(
        self,
        settings: Settings,
        progress: ProgressCallback | None = None,
        kinds: Collection[LeftoverKind] = (),
        since: Since | None = None,
        demanded: Collection[LeftoverKind] = (),
        tests: Collection[str] = (),
        names: Collection[str] = (),
    ) -> None:
        self._settings = settings
        self._demanded = demanded
        self._tests = tests
        self._names = names
        self._progress = progress
        self._kinds = kinds
        self._since = since
        self._session = DatabaseSession(settings)
        self._obstacles = Obstacles(self._session, settings)
        self._seen_last = ""
        """The snapshot right after the last count."""
        self._work_done = 0
        self._work = 1

    @property
    def share_done(self) -> float:
        """The share of the counting that is done, 0 to 1, by the tables' pages. For any thread."""
        return self._work_done / self._work

    def stop(self) -> None:
        """Cancels it: a scan changes nothing, so there is nothing to finish first."""
        self.cancel()

    def cancel(self) -> None:
        """Makes `run` end with WorkCancelledError within moments, and the server stop. Returns at once."""
        self._session.cancel()

    def run(self) -> LeakReport:
        """Connects and counts, in as many short transactions as the database is large.

        What can't be read is in the report's `skipped`. Raises CannotConnectError, ConnectionLostError,
        ConfigurationError (a marker or an ignore that isn't one, a log that can't be read, another database's
        baseline), NotCheckedError (not even the catalogs can be read) and WorkCancelledError.
        """
        begun, checked_at = time.monotonic(), datetime.now(UTC)
        wanted = markers(self._settings.markers)
        known = evidence(self._settings, self._tests, self._names, finds_logs=True)
        with closing(self._session) as session:
            session.open()
            if "advisory_lock" in self._demanded:
                session.connection.require_session("looking for advisory locks")
            escaping = pq.Escaping(session.connection.pgconn)
            with reading_catalogs("nothing was checked"):
                identity = session.identity()
                usable = self._obstacles.usable(wanted, escaping)
                comparison = None if self._since is None else Comparison(session, self._since)
            unseen = None if comparison is None else comparison.unseen
            statements: MarkedRowStatements | AnyRowStatements = (
                AnyRowStatements(escaping, unseen, usable, self._since.baseline.taken_at)
                if unseen is not None and self._since is not None and self._since.any_rows
                else MarkedRowStatements(escaping, usable, unseen)
            )
            counts = self._settled(identity, comparison, statements)
            counted = counts.of
            if isinstance(statements, AnyRowStatements) and any(count.rows for count in counted.values()):
                statements.look_into(self._with_strings(identity.role))
            found = dict(self._leaks(counted, statements))
            leaks = list(found.values())
            if known is not None:
                leaks = Attributor(session, statements, known, self._obstacles.locked).attributed(found)
            rows_before = None if self._any_rows else sum(count.before for count in counted.values())
            rows = {table: count.rows for table, count in counted.items()}
            baseline = None if comparison is None else comparison.use(rows, counts.untouched, rows_before)
            before = None if self._since is None else self._since.baseline
            asking = (session, self._settings, identity.role, self._kinds)
            left = look(*asking, before)
            if before is not None and comparison is not None and baseline is not None:
                since = find_changes_since(*asking, before, comparison)
                left = left.beside(since.leftovers)
                baseline = replace(baseline, gone=since.gone)
            live = runs_at_work(session, identity.database, os.environ.get("PGWATCH_RUN"))
            server_version = in_words(session.connection.info.server_version)
        return LeakReport(
            checked_at=checked_at,
            server_version=server_version,
            database=identity.database,
            markers=() if self._any_rows else tuple(marker.name for marker in wanted),
            tables_checked=len(counted) + counts.untouched,
            tables=tuple(sorted(leaks, key=lambda leak: (-leak.rows, leak.schema, leak.table))),
            skipped=tuple(
                sorted(
                    (*counts.discovery.skipped, *chain.from_iterable(counts.skipped.values())),
                    key=lambda table: (table.schema, table.table, table.reason),
                )
            ),
            duration_s=time.monotonic() - begun,
            mode="any" if self._any_rows else "marked",
            baseline=baseline,
            leftovers=left.found,
            unchecked=left.unchecked,
            kinds_checked=left.kinds,
            ignored=counts.discovery.ignored,
            unread=counts.discovery.unread,
            without_strings=counts.discovery.without_strings,
            away_s=tuple(session.away_s),
            in_the_way_s=session.in_the_way_s,
            live_runs=live,
        )

    @property
    def _any_rows(self) -> bool:
        return self._since is not None and self._since.any_rows

    def _settled(
        self,
        identity: Identity,
        comparison: Comparison | None,
        statements: MarkedRowStatements | AnyRowStatements,
    ) -> _Counts:
        """Counts until the counted tables are the present ones: tables may be created or changed
        meanwhile."""
        moment = identity.snapshot
        counts = _Counts(*self._discover(identity.role, comparison))
        changed = list(counts.discovery.tables)
        for rounds_left in range(_ROUNDS, -1, -1):
            # What was seen before the tables were discovered says nothing of what was changed meanwhile.
            self._seen_last = ""
            if rounds_left and changed:
                self._count(changed, statements, counts)
            if self._seen_last == moment and is_empty(moment):
                return counts
            with reading_catalogs("nothing was checked"):
                oldest = {"xmin": moment.partition(":")[0]}
                [catalogs] = self._session.fetch(_CATALOG_CHANGES, _Catalogs, oldest)
            if not (catalogs.changed or (changed and not rounds_left)):
                return counts
            if rounds_left:
                moment = catalogs.snapshot
                with reading_catalogs("nothing was checked"):
                    if comparison is not None:
                        comparison.look_again()
                changed = counts.replace(*self._discover(identity.role, comparison))
        for table in changed:
            counts.skipped[table] = [Skipped(shown(table.schema), shown(table.name), *_CHANGES)]
        if not changed:
            unknown = Skipped("*", "*", *_CHANGES)
            counts.discovery = replace(counts.discovery, skipped=(*counts.discovery.skipped, unknown))
        return counts

    def _discover(self, role: str, comparison: Comparison | None) -> tuple[Discovery, int]:
        """Returns the tables to count in, and how many tables need no look. Raises NotCheckedError."""
        with reading_catalogs("nothing was checked"):
            return self._discovered(role, comparison)

    def _discovered(self, role: str, comparison: Comparison | None) -> tuple[Discovery, int]:
        ignores = Ignores(self._settings.ignore)
        if comparison is not None and self._any_rows:
            return comparison.divide(without_ignored(comparison.discover(role), ignores), role)
        discovery = self._session.run(lambda connection: discover(connection, role, ignores))
        return (discovery, 0) if comparison is None else comparison.divide(discovery, role)

    def _count(
        self, tables: Sequence[Table], statements: MarkedRowStatements | AnyRowStatements, counts: _Counts
    ) -> None:
        self._work = max(1, self._work_done + sum(map(_work, tables)))
        before = len(counts.of) + len(counts.skipped)
        self._tell(before, before + len(tables))
        outcomes = self._outcomes(tables, statements)
        for done, (table, outcome) in enumerate(outcomes, start=before + 1):
            if isinstance(outcome, psycopg.Error):
                counts.skipped[table] = list(self._obstacles.why(table, outcome))
            else:
                counts.of[table] = outcome
            self._work_done += _work(table)
            self._tell(done, before + len(tables))

    def _outcomes(
        self, tables: Sequence[Table], statements: MarkedRowStatements | AnyRowStatements
    ) -> Iterator[tuple[Table, _Count | _Details | psycopg.Error]]:
        counting = list(tables)
        # Read once, a large table that leaks takes half the time; what was there before is only counted.
        if isinstance(statements, MarkedRowStatements) and not statements.compares:
            counting = [table for table in tables if table.pages < _LARGE_PAGES]
            for table, outcome in self._details((t for t in tables if t.pages >= _LARGE_PAGES), statements):
                if isinstance(outcome, _Details | errors.LockNotAvailable | errors.QueryCanceled):
                    yield table, outcome
                else:
                    counting.append(table)  # without details, perhaps

        def count(tables: Sequence[Table]) -> Sequence[_Count]:
            if not chunks.is_last:
                return self._session.fetch_each(
                    statements.counts(tables), _Count, lambda: statements.looking_out().counts(tables)
                )
            last = (queries.load("server/database_identity").encode(), Identity)
            found, [now] = self._session.fetch_each_and(
                statements.counts(tables), _Count, *last, lambda: statements.looking_out().counts(tables)
            )
            self._seen_last = now.snapshot
            return found

        chunks = Chunks(count, self._obstacles.locked)
        yield from chunks.run(counting)

    def _details(
        self, tables: Iterable[Table], statements: MarkedRowStatements
    ) -> Iterator[tuple[Table, _Details | psycopg.Error]]:
        chunks = Chunks(
            lambda part: self._session.fetch_each(
                statements.details(part), _Details, lambda: statements.looking_out().details(part)
            ),
            self._obstacles.locked,
        )
        return chunks.run(tables)

    def _leaks(
        self, counted: Mapping[Table, _Count | _Details], statements: MarkedRowStatements | AnyRowStatements
    ) -> Iterator[tuple[Table, TableLeak]]:
        leaking = [table for table, count in counted.items() if count.rows and isinstance(count, _Count)]
        later: dict[Table, _Details | Sampled | psycopg.Error] = {}
        if isinstance(statements, AnyRowStatements):
            chunks = Chunks(
                lambda part: self._session.fetch_each(statements.samples(part), Sampled),
                self._obstacles.locked,
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
                    case Sampled() as samples if isinstance(statements, AnyRowStatements):
                        leak = with_samples(leak, table, statements.strings(table), samples)
                yield table, leak

    def _with_strings(self, role: str) -> Sequence[Table]:
        """The tables with the columns that may hold markers; none if that can't be read any more."""
        ignores = Ignores(self._settings.ignore)
        try:
            return self._session.run(lambda connection: discover(connection, role, ignores)).tables
        except psycopg.Error:
            return ()

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)


def _work(table: Table) -> int:
    return table.pages + _PAGES_A_TABLE


def _with_details(leak: TableLeak, table: Table, details: _Details) -> TableLeak:
    matched = zip(table.columns, details.matched, strict=True)
    samples = dict.fromkeys(
        shortened_sample(value) for value in (details.first_sample, details.last_sample) if value is not None
    )
    return replace(
        leak,
        columns=tuple(shown(column) for column, matches in matched if matches),
        oldest=time_from_epoch(details.oldest),
        newest=time_from_epoch(details.newest),
        committed=time_from_epoch(details.committed),
        samples=tuple(samples),
    )
