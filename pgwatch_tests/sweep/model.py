"""Sweep requests, plans and reports: frozen values, no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.sweep.ended_leases import EndedLease

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline

DEFAULT_SWEEP_KINDS: tuple[SweepKind, ...] = ("rows", "schemas", "databases", "prepared")
"""What is swept unless said otherwise: a session is only ended if that is asked for."""

KeptReason = Literal[
    "too_young",
    "age_unknown",
    "unleased_name",
    "in_future",
    "run_alive",
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
"""Why something stays:

- `too_young`: not as old as asked for; `age_unknown`: nothing tells; `in_future`: so a clock is wrong
- `unleased_name`: no lease (`postgres.leases`) named it, so nothing tells whether its owner lives
- `run_alive`: the run, or the owner, that it belongs to lives; `in_use`: somebody is connected to it
- `locked`, `changed`: somebody else works on it just now
- `shared_with_real_data`: rows that bear no marker would have to go too
- `refused`: the server, or a rule or trigger of its user, doesn't let it go
- `no_index`: it would take too long without an index that `detail` names
- `not_checked`: what depends on it can't be read
- `recreated`: it was deleted, and is there again
- `interrupted`: the sweep was told to end before its turn came
"""
SEEN_BY_BASELINE = "there when the baseline was taken"
"""The detail of what stays for that."""
MAY_BE_CHANGED = "nothing tells whether it was created or only changed since the baseline"
"""Likewise."""
WAITING: frozenset[KeptReason] = frozenset(
    {"too_young", "run_alive", "locked", "changed", "in_use", "interrupted"}
)
"""The reasons that pass by themselves: a later sweep removes it."""


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What to remove. Durations are seconds."""

    kinds: tuple[SweepKind, ...] = DEFAULT_SWEEP_KINDS
    dry_run: bool = True
    min_age_s: float = 600.0
    """With 0, no age is asked for; but what is stamped in the future stays all the same."""
    ended_leases: tuple[EndedLease, ...] = ()
    """What is of these, and was written before they ended, needn't be that old; on any server."""
    min_age_is_firm: bool = False
    """Whether somebody asked for just that age: then no end of a lease is heeded."""
    max_rows: int | None = None
    """Nothing is removed if there are more rows to be removed than this."""
    run: str | None = None
    """Only rows of the run with this id (see `postgres.leases`)."""
    test: str | None = None
    """Only rows of the test with this id: those whose values carry its hash (`identity.value_tokens`)."""
    clusters_at_once: int = 500
    """At most so many clusters of rows in one transaction."""
    patience_s: float = 60.0
    """Tables for which it would take longer, for want of an index, are left alone."""
    temp_index: bool = False
    """Make such indexes, and drop them at the end."""
    server_started: datetime | None = None
    """Only on the server that was started then: the one that a preview was of."""
    keep_unmarked: bool = False
    """Keep clusters in which rows without a marker would go from tables that bear markers."""
    since: Baseline | None = None
    """Nothing goes that was there when this was taken, whatever it bears."""
    any_rows: bool = False
    """With `since`: rows without a marker that came since go too."""
    settle_s: float = 0.0
    """With `any_rows`: how long to wait for others to be quiet, so that statistics can be believed."""
    refused_before: frozenset[tuple[str, str, str]] = frozenset()
    """Schema, table and detail of what the last sweep was refused: tried once only, unless that changes."""

    def min_age_of(self, leased: str) -> float:
        """How old a schema or database must be: of no age where the lease that it is named by has ended."""
        return 0.0 if any(one.name == leased for one in self.ended_leases) else self.min_age_s

    @property
    def sought(self) -> tuple[SweepKind, ...]:
        """Those of `kinds` that are looked for: of a run or a test only rows, since nothing else tells."""
        if self.run is None and self.test is None:
            return self.kinds
        return tuple(kind for kind in self.kinds if kind == "rows")


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of one table: those that bear a marker, and those that depend on such rows."""

    schema: str
    table: str
    marked: int
    dependent: int
    unmarked: int = 0
    """Of the dependent: those of a table that bears markers, which ON DELETE CASCADE takes along."""
    of: int = 0
    """About how many rows the table had; 0 if that isn't known."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.marked + self.dependent


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
    """Why rows stay: one cause, and the rows of all tables that stay for it."""

    reason: KeptReason
    detail: str
    rows: int
    kept: tuple[Kept, ...]
    """By table, most rows first."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A schema, database, session or prepared transaction that was left behind.

    `removed` is also true in a dry run, of what would be. `age_s` is in seconds, None where nothing tells.
    """

    kind: SweepKind
    name: str
    removed: bool
    reason: KeptReason | None = None
    """Why it stays; None if it doesn't."""
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
    """What may go, by table; when it isn't a dry run, what was about to be deleted."""
    deleted: tuple[TableRows, ...]
    """Empty in a dry run."""
    kept: tuple[Kept, ...]
    orphans: tuple[Orphan, ...]
    not_checked: tuple[str, ...]
    """What couldn't be looked at, a sentence each, with what would help."""
    passes: int
    duration_s: float
    longest_transaction_s: float
    interrupted: bool = False
    """Whether it was told to end before it was done."""
    error: str = ""
    """Why it ended early, if something went wrong; what is above is true all the same."""
    server_started: datetime | None = None
    """When the server was started that it was on."""
    away_s: tuple[float, ...] = ()
    """How long each time that a dry run left the database to somebody who dropped, altered or copied it."""
    changed: tuple[ChangedRows, ...] = ()
    """What stays but is changed, or would be."""
    side_effects: tuple[SideEffects, ...] = ()
    """What triggers did besides; a dry run can't tell."""
    since: datetime | None = None
    """When the baseline was taken; None if there is none."""
    any_rows: bool = False
    """Whether rows went that bear no marker, but came since."""
    left_by: tuple[TestLeak, ...] = ()
    """Which tests left the rows that came since, as far as logs tell; also of rows that stay."""
    in_spite_of_age: int = 0
    """How many of the rows that go are young: the leases of their runs have ended."""
    ended_runs: tuple[str, ...] = ()
    """The runs that these may be of: all whose leases ended within `min_age_s`."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why rows stay, the cause of most rows first."""
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
    reason: str


@dataclass(frozen=True, slots=True)
class SweepsOfDatabases:
    """Sweeps of several databases of one server."""

    started_at: datetime
    sweeps: tuple[SweepReport, ...]
    not_swept: tuple[NotSwept, ...]
    duration_s: float


SweepPhase = Literal["survey", "plan", "delete", "second_look"]
"""Reads what is marked; closes over foreign keys; deletes; looks for what came back meanwhile."""


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep is. `share_done`, 0 to 1, is of the rows' part."""

    clusters_done: int
    clusters: int
    rows: int
    """Deleted so far, or counted in a dry run."""
    share_done: float
    phase: SweepPhase = "delete"


SweepProgressCallback = Callable[[SweepProgress], None]


def _most_first(kept: Kept) -> tuple[int, str, str]:
    return -kept.rows, kept.schema, kept.table
