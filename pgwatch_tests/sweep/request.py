"""Sweep requests: what a sweep removes, or only one part of it. Frozen values, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.sweep.ended_leases import EndedLease

if TYPE_CHECKING:
    from pgwatch_tests.leaks.baseline.baseline import Baseline

DEFAULT_SWEEP_KINDS: tuple[SweepKind, ...] = ("rows", "schemas", "databases", "prepared")
"""The default kinds of a sweep: sessions are only ended on demand."""


@dataclass(frozen=True, slots=True)
class SweepPart:
    """One part of a sweep: the marked rows of a table with all that depends on them, or one orphan."""

    kind: SweepKind
    name: str
    """`schema.table` for rows, else the name that its Orphan has."""
    confirmed: str = ""
    """The identity of an orphan that somebody saw and confirmed: it goes whatever its age or name."""


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """A request: what a sweep removes. Durations are seconds."""

    kinds: tuple[SweepKind, ...] = DEFAULT_SWEEP_KINDS
    dry_run: bool = True
    min_age_s: float = 600.0
    """The minimum age; 0 for any age, though what is stamped in the future stays all the same."""
    ended_leases: tuple[EndedLease, ...] = ()
    """Ended leases, of any server: data of these, written before the end, needn't be that old."""
    min_age_is_firm: bool = False
    """Whether that age was asked for explicitly: then ended leases are ignored."""
    max_rows: int | None = None
    """Nothing is removed if there are more rows to be removed than this."""
    run: str | None = None
    """Only rows of the run with this id (see `postgres.leases`)."""
    test: str | None = None
    """Only rows of the test with this id: those whose values carry its hash (`identity.value_tokens`)."""
    part: SweepPart | None = None
    """Only this part: a marked row of another table goes only if it depends on one of the part's."""
    is_own: bool = False
    """With `run`: the run itself asks. Neither its lease nor any age keeps rows, and others may sweep beside
    it."""
    own_transactions: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """With `is_own`: rows of these transactions are asked for too, unless they bear another's marker.

    The lower 32 bits of their ids, by the oid of a table, or of its root: all rows there with such an id were
    inserted by that transaction.
    """
    clusters_at_once: int = 500
    """At most so many clusters of rows in one transaction."""
    patience_s: float = 60.0
    """Tables that would take longer than this, for want of an index, are left alone."""
    temp_index: bool = False
    """Make such indexes, and drop them at the end."""
    server_started: datetime | None = None
    """Only on the server that was started then: the one that a preview was of."""
    keep_unmarked: bool = False
    """Keep clusters in which rows without a marker would go from tables that bear markers."""
    since: Baseline | None = None
    """The baseline: rows that were there stay, marked or not."""
    any_rows: bool = False
    """With `since`: new rows without a marker are deleted too."""
    settle_s: float = 0.0
    """With `any_rows`: how long to wait for others to be quiet, so that statistics can be believed."""
    refused_before: frozenset[tuple[str, str, str]] = frozenset()
    """Schema, table and detail of what the last sweep was refused: tried once only, unless that changes."""

    def min_age_of(self, leased: str) -> float:
        """Returns the minimum age of a schema or database: 0 where the lease of its name has ended."""
        return 0.0 if any(one.name == leased for one in self.ended_leases) else self.min_age_s

    @property
    def sought(self) -> tuple[SweepKind, ...]:
        """Returns the `kinds` that are looked for: of a run or a test only rows, since nothing else tells."""
        kinds = self.kinds
        if self.run is not None or self.test is not None:
            kinds = tuple(kind for kind in kinds if kind == "rows")
        return kinds if self.part is None else tuple(kind for kind in kinds if kind == self.part.kind)

    def asks_for(self, kind: SweepKind, name: str) -> bool:
        """Whether the marked rows of a table (`schema.table`), or an orphan, are in the part asked for."""
        return self.part is None or (self.part.kind, self.part.name) == (kind, name)
