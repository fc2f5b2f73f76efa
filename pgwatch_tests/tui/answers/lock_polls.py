"""Polls of locks: between two pictures a glance is enough, as long as the same sessions wait for the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.glance import Glance
from pgwatch_tests.locks.snapshot.poll_interval import PollPace

ReadGlance = Callable[[], Awaitable[Glance | None]]


class LockPolls:
    """Reads all, or glances at what waits if that may still be the same as when all was read last.

    Where something waits, polls are frequent, or a deadlock wouldn't be seen twice; but hundreds of sessions
    are read for a picture only.
    """

    def __init__(self, read: Callable[[], Awaitable[LockSnapshot]], glance: ReadGlance | None) -> None:
        self._read = read
        self._glance = glance
        self._seen: int | None = None
        """The fingerprint of a glance just before all was read last; None if it isn't known."""
        self._blocked = 0
        self._something_waits = False
        self._paces = PollPace(), PollPace()
        """After all was read, and after glances: what these cost says nothing of the other."""

    async def poll(self, *, in_full: bool) -> LockSnapshot | Glance:
        """Returns a snapshot; a glance if it shows the waits of the last snapshot, and `in_full` isn't asked.

        Raises what reading raises.
        """
        glance = await self._glance() if self._glance is not None and self._something_waits else None
        if glance is not None and glance.fingerprint == self._seen and not in_full:
            return glance
        # What changes between the two is seen by the next glance.
        self._seen = None
        snapshot = await self._read()
        self._seen = None if glance is None else glance.fingerprint
        self._something_waits, self._blocked = bool(snapshot.groups), snapshot.blocked
        return snapshot

    def pause_s(self, seen: LockSnapshot | Glance, idle_s: float) -> float:
        """Seconds to sleep after a poll that returned `seen`; `idle_s` is the pace while nothing waits."""
        pace = self._paces[isinstance(seen, Glance)]
        return pace.pause_s(self._blocked, seen.spent_s, idle_s)
