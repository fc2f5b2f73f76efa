"""Own backends: the server's processes of our connections, for the moment in which they have no name yet."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_NAMELESS_S = 1.0
"""A connection has its name much sooner. Behind a pooler the pid that it tells is another one's."""


class OwnBackends:
    """The pids of connections that were opened within the last second. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Other threads add as well: each of a deque's operations is whole.
        self._opened: deque[tuple[float, int]] = deque(maxlen=100)

    def add(self, pid: int) -> None:
        """A connection to the backend with that pid was opened just now."""
        self._opened.append((self._clock(), pid))

    def recent(self) -> frozenset[int]:
        """The pids of those that may have no name yet."""
        since_s = self._clock() - _NAMELESS_S
        return frozenset(pid for opened_s, pid in tuple(self._opened) if opened_s >= since_s)


OWN_BACKENDS = OwnBackends()
"""Those of this program."""
