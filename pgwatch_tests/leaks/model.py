"""Leak reports: the outcome of a check of one database, or of several. Frozen values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pgwatch_tests.accepted_findings import Finding
from pgwatch_tests.errors import NotCheckedError

ProgressCallback = Callable[[int, int], None]
"""Told how many tables, or databases, are done, of how many; in the thread at work."""
Confidence = Literal["marker", "transaction", "1 of N", "unknown"]
LeftoverKind = Literal[
    "schema",
    "idle_in_transaction",
    "prepared_transaction",
    "advisory_lock",
    "database",
    "replication_slot",
    "temporary_schema",
    "large_object",
    "unlogged_table",
    "setting",
    "disabled_trigger",
    "invalid_index",
    "object",
    "sequence",
    "lost_rows",
]
LEFTOVER_NOUNS: Mapping[LeftoverKind, tuple[str, str]] = {
    "schema": ("test schema", "test schemas"),
    "idle_in_transaction": ("session idle in transaction", "sessions idle in transaction"),
    "prepared_transaction": ("prepared transaction", "prepared transactions"),
    "advisory_lock": ("advisory lock of an idle session", "advisory locks of idle sessions"),
    "database": ("test database", "test databases"),
    "replication_slot": ("logical replication slot", "logical replication slots"),
    "temporary_schema": ("temporary schema of a dead session", "temporary schemas of dead sessions"),
    "large_object": ("owner of large objects", "owners of large objects"),
    "unlogged_table": ("unlogged table", "unlogged tables"),
    "setting": ("changed setting", "changed settings"),
    "disabled_trigger": ("disabled trigger or constraint", "disabled triggers and constraints"),
    "invalid_index": ("invalid index", "invalid indexes"),
    "object": ("new object", "new objects"),
    "sequence": ("moved sequence", "moved sequences"),
    "lost_rows": ("table with lost or changed rows", "tables with lost or changed rows"),
}
"""Nouns per kind of leftover: for one, and for several."""

TRACES: frozenset[str] = frozenset({"sequence"})
"""Kinds that a suite leaves even where it cleans up after itself: no headline names them."""

SAMPLE_LIMIT = 40
"""Characters of a sample: even test data may be somebody's."""
_MOST_OF_A_LOCAL_PART = 6


@dataclass(frozen=True, slots=True)
class Attribution:
    """Some rows of a table, and which test left them: a guess is never shown as a fact.

    `confidence` says how that is known: `marker`, the value names the test; `transaction`, the test's own
    transaction inserted the row; `1 of N`, one of `candidates`; `unknown`, `detail` says why. `test` is
    empty for the last two.
    """

    test: str
    confidence: Confidence
    rows: int
    candidates: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TableLeak:
    """The marked rows of one table. A row counts once, however many of its columns match.

    If any row counts: the rows that are new or changed since the baseline.
    """

    schema: str
    table: str
    kind: str
    """`table`, `partitioned table` or `materialized view`."""
    columns: tuple[str, ...]
    """The columns in which markers were found."""
    rows: int
    oldest: datetime | None = None
    newest: datetime | None = None
    samples: tuple[str, ...] = ()
    """A few matching values, or primary keys if any row counts; truncated."""
    attribution: tuple[Attribution, ...] = ()
    """Empty if it wasn't asked who left them; else its rows add up to `rows`."""
    marked: int | None = None
    """If any row counts: how many of `rows` bear a marker; None if it isn't known."""
    changed: int | None = None
    """If any row counts: how many of `rows` were there before, by their stamp or `created_at`; the others are
    new, or don't say. None if it isn't known."""
    committed: datetime | None = None
    """When the last of the rows was committed; None if the server doesn't keep that, or wasn't asked."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A table that couldn't be checked, why, and what would help."""

    schema: str
    table: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class UnreadColumn:
    """A column of a type that has text in it, in a form that markers aren't looked for."""

    schema: str
    table: str
    column: str
    type: str
    """The type that isn't read: the column's own, or one inside of it."""


@dataclass(frozen=True, slots=True)
class LeftSession:
    """A session that was left. A later one may have its pid, but began at another time."""

    pid: int
    backend_start: datetime


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something beside rows that was left behind. `age_s` is in seconds; None where nothing tells."""

    kind: LeftoverKind
    name: str
    detail: str = ""
    age_s: float | None = None
    test: str = ""
    """The test that a session names, else its application."""
    hint: str = ""
    """The statement that mends it, or what else would."""
    session: LeftSession | None = None
    """The session that was left, or that holds an advisory lock; None of anything else."""


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A kind of leftover that couldn't be looked for, or not fully: why, and what would help."""

    kind: LeftoverKind
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A `schema`, `schema.table` or `schema.table.column` that the settings leave out, and why.

    `tables` is how many it left out, or some of whose columns: 0 if it is a name of nothing.
    """

    what: str
    reason: str
    tables: int = 0


@dataclass(frozen=True, slots=True)
class BaselineUse:
    """The state before the suite that a check compares with, and how it did.

    `way`: `snapshot`, every table was looked at; `statistics`, those that the server's statistics prove
    untouched were left out. `detail` says why it went that way.
    """

    taken_at: datetime
    way: Literal["snapshot", "statistics"]
    detail: str = ""
    tables_untouched: int = 0
    rows_before: int | None = None
    """Marked rows, in the tables that were looked at, that were there before; None if any row counts."""
    dropped: tuple[str, ...] = ()
    """Tables that are gone since."""
    notes: tuple[str, ...] = ()
    """Warnings about numbers that may be wrong."""
    gone: tuple[str, ...] = ()
    """Other objects that are gone since, such as `view public.v`."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Findings that an entry of a file accepts, and how many: rows, or things left over."""

    entry: Finding
    number: int


@dataclass(frozen=True, slots=True)
class AcceptedUse:
    """The use of a file of accepted findings: what isn't counted, and which entries match nothing any
    more."""

    known: tuple[Accepted, ...]
    gone: tuple[Finding, ...] = ()

    @property
    def rows(self) -> int:
        """Accepted rows."""
        return sum(one.number for one in self.known if one.entry.kind == "rows")

    @property
    def leftovers(self) -> int:
        """Accepted things beside rows."""
        return sum(one.number for one in self.known if one.entry.kind != "rows")


@dataclass(frozen=True, slots=True)
class LeakReport:
    """One scan of one database. Durations are seconds."""

    checked_at: datetime
    server_version: str
    database: str
    markers: tuple[str, ...]
    tables_checked: int
    tables: tuple[TableLeak, ...]
    skipped: tuple[Skipped, ...]
    duration_s: float
    mode: Literal["marked", "any"] = "marked"
    baseline: BaselineUse | None = None
    leftovers: tuple[Leftover, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    kinds_checked: tuple[LeftoverKind, ...] = ()
    """Which kinds of leftovers were looked for at all."""
    ignored: tuple[Ignored, ...] = ()
    accepted: AcceptedUse | None = None
    """The accepted findings, which aren't counted; None without a file of these."""
    unread: tuple[UnreadColumn, ...] = ()
    """The columns of checked tables that weren't read; empty if any row counts."""
    without_strings: tuple[str, ...] = ()
    """Tables, as `schema.table`, that have no column in which a marker could be: none of those checked."""
    away_s: tuple[float, ...] = ()
    """Seconds of each interruption that left the database to somebody who dropped, altered or copied it."""
    in_the_way_s: float = 0.0
    """Seconds that a statement ran which couldn't give way, if longer than others wait; else 0."""
    server: str = ""
    """The name of a fleet's server; empty where only one was asked."""
    live_runs: tuple[str, ...] = ()
    """The runs of `pgwatch-tests run` that work in the database, in words: what they have isn't left yet."""
    why_not_swept: str = ""
    """Why no sweep may change the database, as a sentence; empty if one may, or if that wasn't asked."""

    @property
    def total(self) -> int:
        """Leaked rows in all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def complete(self) -> bool:
        """Whether every table, and every kind of leftover that was asked for, was checked."""
        return not self.skipped and not self.unchecked


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A database that was asked for and couldn't be checked at all, and why."""

    database: str
    """Empty: it is about all databases of `server` that were asked for."""
    reason: str
    server: str = ""
    """The name of a fleet's server; empty where only one was asked."""
    exit_code: int = NotCheckedError.exit_code
    """The exit code of the error that kept it from being checked."""


@dataclass(frozen=True, slots=True)
class LeaksOfDatabases:
    """One report per database, by server and name. Durations are seconds."""

    checked_at: datetime
    databases: tuple[LeakReport, ...]
    not_checked: tuple[NotChecked, ...]
    duration_s: float
    servers: tuple[str, ...] = ()
    """The fleet's servers that were asked, in its order; empty if only one was, which has no name."""
    shard: str = ""
    """`2/8`: which part of the fleet these servers are; empty: they are all that were named."""

    @property
    def total(self) -> int:
        """Leaked rows in all databases."""
        return sum(report.total for report in self.databases)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was checked in every database."""
        return not self.not_checked and all(report.complete for report in self.databases)


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A marked row: pairs of a column and a shortened value."""

    key: tuple[tuple[str, str], ...]
    """The primary key, as far as it may be read; empty if there is none."""
    marked: tuple[tuple[str, str], ...]
    """The columns with a marker."""
    at: datetime | None
    """When it came to be, by its stamp or `created_at`; None if neither tells."""
    tests: tuple[str, ...]
    """The tests whose hashes its values carry: `#1a2b3c4d` for a hash of no known test."""


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Some marked rows of a table, in no order; `more` if there are others."""

    rows: tuple[FoundRow, ...]
    more: bool = False
    skipped: tuple[Skipped, ...] = ()
    """Why none could be read."""


def shortened_sample(value: str) -> str:
    """A sample of a value: SAMPLE_LIMIT characters at most; of a local part, only its beginning."""
    local, at, domain = value.rpartition("@")
    if at:
        value = f"{local[: min(_MOST_OF_A_LOCAL_PART, len(local) // 2)]}…@{domain}"
    return value if len(value) <= SAMPLE_LIMIT else value[: SAMPLE_LIMIT - 1] + "…"


def time_from_epoch(epoch_s: float | None) -> datetime | None:
    """Returns the time of seconds since 1970, as the server has it; None beyond Python's years."""
    if epoch_s is None:
        return None
    try:
        return datetime.fromtimestamp(epoch_s, UTC)
    except (OverflowError, ValueError):
        return None
