"""An attempt to delete a portion in one transaction: what is left of it, and what came of it so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pgwatch_tests.sweep.plan.planned_catalog import TupleCounts
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.rows.portions import Portion


@dataclass(slots=True)
class Attempt:
    """The state of a transaction."""

    portion: Portion
    lock_all: bool
    ask: frozenset[int]
    """The leaves of which it is asked whether rows refer to what goes."""
    stays: dict[int, Refusal] = field(default_factory=dict)
    """The clusters that were taken out of it."""
    moved: Counter[int] = field(default_factory=Counter)
    """Rows that triggers had changed before they were deleted, and those of `more_loose`, by leaf."""
    more_loose: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Rows that refer loosely and were changed by batches before this one: by leaf and foreign key."""
    effects: list[TupleCounts] = field(default_factory=list)
    statements: int = 2
    """How many are about its rows: those before and after all DELETEs, and what locks and deletes rows."""
    rows_done_s: float = 0.0
    """When the last of these had ended (monotonic)."""

    def leave_out(self, stays: Mapping[int, Refusal]) -> None:
        """Goes on without some clusters."""
        stays = {cluster: why for cluster, why in stays.items() if cluster not in self.stays}
        if stays:
            self.stays.update(stays)
            self.portion = self.portion.without(stays)
