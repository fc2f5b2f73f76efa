"""Sweep plans, reports and progress: frozen values, no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.errors import ConnectionLostError, RefusedError
from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.sweep.request import SweepPart

KeptReason = Literal[
    "too_young",
    "age_unknown",
    "unleased_name",
    "in_future",
    "run_alive",
    "kept_for_test",
    "locked",
    "changed",
    "shared_with_real_data",
    "refused",
    "no_index",
    "not_checked",
    "recreated",
    "in_use",
    "interrupted",
]
"""The reasons why something stays:

- `too_young`: not as old as asked for; `age_unknown`: nothing tells; `in_future`: so a clock is wrong
- `unleased_name`: no lease (`postgres.leases`) named it, so nothing tells whether its owner lives
- `run_alive`: the run, or the owner, that it belongs to lives; `in_use`: somebody is connected to it
- `kept_for_test`: a failed test's, kept to be looked at until a time that has yet to come
- `locked`, `changed`: somebody else works on it just now
- `shared_with_real_data`: rows that bear no marker would have to go too
- `refused`: the server, or a rule or trigger of its user, doesn't let it go
- `no_index`: it would take too long without an index that `detail` names
- `not_checked`: what depends on it can't be read
- `recreated`: it was deleted, and is there again
- `interrupted`: the sweep was told to end before its turn came
"""
SEEN_BY_BASELINE = "there when the baseline was taken"
"""The detail of a row that stays since it was there at the baseline."""
MAY_BE_CHANGED = "nothing tells whether it was created or only changed since the baseline"
"""The detail of a row that stays since it may have been there at the baseline."""
WAITING: frozenset[KeptReason] = frozenset(
    {"too_young", "run_alive", "kept_for_test", "locked", "changed", "in_use", "interrupted"}
)
"""The reasons that pass by themselves: a later sweep removes it."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of one table: those that bear a marker, and those that depend on such rows."""

    schema: str
    table: str
    marked: int
    dependent: int
    unmarked: int = 0
    """The dependent rows of tables that bear markers, which ON DELETE CASCADE deletes."""
    of: int = 0
    """About how many rows the table had; 0 if that isn't known."""

    @property
    def total(self) -> int:
        """All rows."""
        return self.marked + self.dependent


@dataclass(frozen=True, slots=True)
class AlsoReferring:
    """Dependent rows of a table that go, and also refer to rows of another that stay: real data, perhaps."""

    schema: str
    table: str
    rows: int
    parent_schema: str
    parent_table: str
    at_least: bool = False
    """Whether there may be more: not all rows of a large table are asked."""
    examples: tuple[str, ...] = ()
    """The keys of a few of these rows, as far as they can be read: `id=7`."""


Change = Literal["set_null", "set_default", "not_enforced"]


@dataclass(frozen=True, slots=True)
class ChangedRows:
    """Rows of one table that stay, but refer to what goes: `how` says what becomes of their columns.

    `not_enforced`: the server lets them refer to nothing from then on (PostgreSQL 18).
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    how: Change
    rows: int


@dataclass(frozen=True, slots=True)
class SideEffects:
    """Rows of one table that triggers inserted, updated or deleted besides what was asked for."""

    schema: str
    table: str
    inserted: int
    updated: int
    deleted: int
    emptied: bool = False
    """Whether the table, or a part of it, was emptied by TRUNCATE, or dropped: its rows aren't counted."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of one table that stay, and why. `table` and `schema` may be empty if it is about none alone."""

    schema: str
    table: str
    rows: int
    reason: KeptReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause of keeping rows, and the rows of all tables that stay for it."""

    reason: KeptReason
    detail: str
    rows: int
    kept: tuple[Kept, ...]
    """The kept rows by table, most rows first."""


AgeKnownBy = Literal["stamp", "created_at", "commit", "created_at_without_zone"]
"""How the age of a row is known: by the stamp in its value, its `created_at`, its last commit; without a
zone, `created_at` counts as the latest that it can be."""


@dataclass(frozen=True, slots=True)
class YoungestRow:
    """The row that is too young for longest, of those for which rows stay, by its table."""

    schema: str
    table: str
    at: datetime
    """The latest time that is known of it, in steps of a second: its age counts from then."""
    known_by: AgeKnownBy
    held_back: int
    """The number of marked rows that are old enough, and stay as they hang together with young ones."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A schema, database, session or prepared transaction that was left behind.

    `removed` is also true in a dry run, of what would be. `age_s` is in seconds, None where nothing tells.
    """

    kind: SweepKind
    name: str
    removed: bool
    reason: KeptReason | None = None
    """The reason why it stays; None if it doesn't."""
    detail: str = ""
    age_s: float | None = None

    @property
    def may_stay(self) -> bool:
        """Whether it goes, or nothing is wrong with that it doesn't: it may be another suite's database."""
        if self.kind == "databases" and self.reason == "unleased_name":
            return True
        return self.reason is None or self.reason in WAITING


@dataclass(frozen=True, slots=True)
class SweepReport:
    """One sweep of one database, dry or not. Durations are seconds."""

    started_at: datetime
    server_version: str
    database: str
    dry_run: bool
    kinds: tuple[SweepKind, ...]
    markers: tuple[str, ...]
    min_age_s: float
    planned: tuple[TableRows, ...]
    """The rows that may be deleted, by table; of a real sweep, those that it was about to delete."""
    deleted: tuple[TableRows, ...]
    """Empty in a dry run."""
    kept: tuple[Kept, ...]
    orphans: tuple[Orphan, ...]
    not_checked: tuple[str, ...]
    """A sentence for each thing that wasn't checked, with what would help."""
    passes: int
    duration_s: float
    longest_transaction_s: float
    interrupted: bool = False
    """Whether it was told to end before it was done."""
    error: str = ""
    """The error that ended it early; the fields above are true all the same."""
    error_exit_code: int = ConnectionLostError.exit_code
    """The exit code of that error."""
    server_started: datetime | None = None
    """The start time of its server."""
    away_s: tuple[float, ...] = ()
    """Seconds of each interruption that left the database to somebody who dropped, altered or copied it."""
    changed: tuple[ChangedRows, ...] = ()
    """The rows that stay but are changed, or would be."""
    live_runs: tuple[str, ...] = ()
    """The runs of `pgwatch-tests run` that work in the database, in words."""
    side_effects: tuple[SideEffects, ...] = ()
    """The rows that triggers wrote besides; a dry run can't tell."""
    since: datetime | None = None
    """When the baseline was taken; None if there is none."""
    any_rows: bool = False
    """Whether rows went that bear no marker, but came since."""
    left_by: tuple[TestLeak, ...] = ()
    """Which tests left the rows that came since, as far as logs tell; also of rows that stay."""
    in_spite_of_age: int = 0
    """The number of deleted rows that are young: the leases of their runs have ended."""
    ended_runs: tuple[str, ...] = ()
    """The runs that these may be of: all whose leases ended within `min_age_s`."""
    server: str = ""
    """The name of a fleet's server; empty where only one was asked."""
    part: SweepPart | None = None
    """The part that was asked for; None for all."""
    also_refer: tuple[AlsoReferring, ...] = ()
    """The rows that would go though they also refer to rows that stay; of a dry run."""
    youngest: YoungestRow | None = None
    """The row that is too young for longest; None if no row is kept for its age alone."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Returns the causes of keeping rows, that of most rows first."""
        by_cause: dict[tuple[KeptReason, str], list[Kept]] = {}
        for kept in self.kept:
            by_cause.setdefault((kept.reason, kept.detail), []).append(kept)
        causes = [
            Cause(reason, detail, sum(one.rows for one in all_kept), tuple(sorted(all_kept, key=_most_first)))
            for (reason, detail), all_kept in by_cause.items()
        ]
        return tuple(sorted(causes, key=lambda cause: (-cause.rows, cause.reason, cause.detail)))

    @property
    def planned_rows(self) -> int:
        """Of all tables."""
        return sum(table.total for table in self.planned)

    @property
    def deleted_rows(self) -> int:
        """Of all tables."""
        return sum(table.total for table in self.deleted)

    @property
    def complete(self) -> bool:
        """Whether all that may ever go is gone, or would be: nothing is refused, nothing wasn't checked."""
        return (
            not self.not_checked
            and not self.error
            and all(kept.reason in WAITING for kept in self.kept)
            and all(orphan.may_stay for orphan in self.orphans)
        )


@dataclass(frozen=True, slots=True)
class NotSwept:
    """A database that was named but not swept: it isn't one of tests, can't be reached, is being swept."""

    database: str
    """Empty: it is about all databases of `server` that were asked for."""
    reason: str
    server: str = ""
    """The name of a fleet's server; empty where only one was asked."""
    exit_code: int = RefusedError.exit_code
    """The exit code of the error that kept it from being swept."""


@dataclass(frozen=True, slots=True)
class SweepsOfDatabases:
    """Sweeps of several databases of one server, or of each server of a fleet."""

    started_at: datetime
    sweeps: tuple[SweepReport, ...]
    not_swept: tuple[NotSwept, ...]
    duration_s: float
    servers: tuple[str, ...] = ()
    """The fleet's servers that were asked, in its order; empty if only one was, which has no name."""
    shard: str = ""
    """`2/8`: which part of the fleet these servers are; empty: they are all that were named."""


SweepPhase = Literal["survey", "plan", "delete", "second_look"]
"""The phases: reads marked rows, follows foreign keys, deletes, looks for rows that came back."""


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """The progress of a sweep. `share_done`, 0 to 1, is of the rows' part."""

    clusters_done: int
    clusters: int
    rows: int
    """Deleted so far, or counted in a dry run."""
    share_done: float
    phase: SweepPhase = "delete"


SweepProgressCallback = Callable[[SweepProgress], None]


def _most_first(kept: Kept) -> tuple[int, str, str]:
    return -kept.rows, kept.schema, kept.table
