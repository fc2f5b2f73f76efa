"""The trend of blocked sessions over the last minutes, from successive polls. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

SLOT_S = 15
SLOTS = 20
"""It reaches back over so many slots: five minutes."""


class BlockedTrend:
    """Collects the numbers of blocked sessions; of several polls in a slot the largest stays."""

    def __init__(self) -> None:
        self._blocked: dict[int, int] = {}

    def add(self, at: datetime, blocked: int) -> None:
        """Adds a poll, and forgets those that are too old."""
        slot = int(at.timestamp()) // SLOT_S
        self._blocked[slot] = max(blocked, self._blocked.get(slot, 0))
        # Ahead of it are only slots of a clock that was set back.
        for other in [one for one in self._blocked if not slot - SLOTS < one <= slot]:
            del self._blocked[other]

    def over_time(self) -> Sequence[int | None]:
        """The numbers from the first slot to the last; None where nobody polled."""
        if not self._blocked:
            return ()
        return [self._blocked.get(slot) for slot in range(min(self._blocked), max(self._blocked) + 1)]
