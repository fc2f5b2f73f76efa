"""Polls of locks: between two pictures, and where nothing has changed, a glance is enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.locks.graph.settled_waits import SECOND_LOOK_S
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.glance import Glance, later
from pgwatch_tests.locks.snapshot.poll_interval import LARGEST_SHARE, WITH_SECOND_LOOKS_S, PollPace

ReadGlance = Callable[[bool], Awaitable[Glance | None]]
"""Returns a glance, with the fingerprint of the sessions (True) or without."""

Wanted = Literal["waits", "picture", "all"]
"""What is enough: that the waits are the same, that all is the same, or nothing but to read all."""

_ALL_EVERY_S = 30.0
"""Names, deadlocks that the server counted and the fill of the lock table come only with what is read."""
_MOST_MISSES = 3


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A poll that found all as it was read last: that snapshot, as it is now."""

    snapshot: LockSnapshot
    spent_s: float


Seen = LockSnapshot | Unchanged | Glance


class LockPolls:
    """Reads all, or glances at what may still be the same as when all was read last.

    Where something waits, polls are frequent, or a deadlock wouldn't be seen twice; but hundreds of sessions
    are read for a picture only. In a suite that hangs, or has ended, not even for that.
    """

    def __init__(self, read: Callable[[], Awaitable[LockSnapshot]], glance: ReadGlance | None) -> None:
        self._read = read
        self._glance = glance
        self._last: LockSnapshot | None = None
        """What was read last."""
        self._before: Glance | None = None
        """A glance just before that; None if there was none."""
        self._misses = self._passed_over = 0
        """How often sessions had changed when that was looked for, and how often it wasn't since."""
        self._paces = PollPace(WITH_SECOND_LOOKS_S), PollPace(WITH_SECOND_LOOKS_S)
        """After all was read, and after glances: what these cost says nothing of the other."""
        self.changes = 0
        """How many polls found that a session has begun or ended anything, or couldn't tell."""

    async def poll(self, wanted: Wanted) -> Seen:
        """Returns a snapshot, or less if that is enough. Raises what reading raises."""
        glance = await self._look(wanted)
        if wanted == "waits" and glance is not None and self._has_same_waits(glance):
            return glance
        is_same = glance is not None and self._has_same_sessions(glance)
        if wanted == "picture" and is_same and glance is not None and self._last is not None:
            unchanged = later(self._last, glance.sampled_at)
            if (unchanged.sampled_at - self._last.sampled_at).total_seconds() < _ALL_EVERY_S:
                return Unchanged(unchanged, glance.spent_s)
        self.changes += not is_same
        # What changes between the two is seen by the next glance.
        self._before = None
        self._last = await self._read()
        self._before = glance
        return self._last

    async def _look(self, wanted: Wanted) -> Glance | None:
        if self._glance is None or self._last is None:
            return None
        asks = wanted != "waits" and self._passed_over >= (1 << self._misses) - 1
        if wanted == "picture":
            self._passed_over = 0 if asks else self._passed_over + 1
        return await self._glance(asks) if asks or self._last.groups else None

    def _has_same_waits(self, glance: Glance) -> bool:
        return self._before is not None and glance.waits == self._before.waits

    def _has_same_sessions(self, glance: Glance) -> bool:
        before = self._before
        if glance.sessions is None or before is None or before.sessions is None:
            return False
        is_same = glance.sessions == before.sessions and self._has_same_waits(glance)
        # Where something always happens, to look for it each time would be in vain.
        self._misses = 0 if is_same else min(_MOST_MISSES, self._misses + 1)
        return is_same

    def pause_s(self, seen: Seen, idle_s: float) -> float:
        """Seconds to sleep after a poll that returned `seen`; `idle_s` is the pace while nothing waits."""
        pace = self._paces[not isinstance(seen, LockSnapshot)]
        blocked = 0 if self._last is None else self._last.blocked
        pause_s = pace.pause_s(blocked, seen.spent_s, idle_s)
        if _is_sure(seen):
            return pause_s
        return min(pause_s, max(SECOND_LOOK_S, seen.spent_s * (1 / LARGEST_SHARE - 1)))


def _is_sure(seen: Seen) -> bool:
    """Whether nothing was seen that one more poll would make sure of: a deadlock, or the first wait."""
    if not isinstance(seen, LockSnapshot):
        return True
    return not seen.probable_deadlocks and (seen.blocked > 0 or not seen.groups)
