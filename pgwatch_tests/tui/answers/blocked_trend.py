"""The trend of blocked sessions over the last hour, from successive polls. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

KEPT_S = 3600
SLOT_S = 15
SLOTS = 20
"""It shows so many slots at once: five minutes."""


class BlockedTrend:
    """Collects the numbers of blocked sessions; of several polls in a second the largest stays."""

    def __init__(self) -> None:
        self._blocked: dict[int, int] = {}
        """By second since the epoch, in their order."""

    def add(self, at: datetime, blocked: int) -> None:
        """Adds a poll, and forgets those that are too old."""
        second = int(at.timestamp())
        if self._blocked and second < next(reversed(self._blocked)):
            # A clock that was set back: what is ahead of it is forgotten.
            self._blocked = {one: known for one, known in self._blocked.items() if one <= second}
        self._blocked[second] = max(blocked, self._blocked.get(second, 0))
        while (first := next(iter(self._blocked))) <= second - KEPT_S:
            del self._blocked[first]

    def over_time(self, until: datetime | None = None) -> Sequence[int | None]:
        """The largest number in each slot up to a moment (None: the last poll), from the first that is known.

        None where nobody polled.
        """
        seconds = [one for one in self._blocked if until is None or one <= until.timestamp()]
        if not seconds:
            return ()
        last = seconds[-1] // SLOT_S
        slots: dict[int, int] = {}
        for second in reversed(seconds):
            slot = second // SLOT_S
            if slot <= last - SLOTS:
                break
            slots[slot] = max(self._blocked[second], slots.get(slot, 0))
        return [slots.get(slot) for slot in range(min(slots), last + 1)]
