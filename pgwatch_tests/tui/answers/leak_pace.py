"""Pace of leak counts: every few seconds while sessions do anything, seldom while none does. Pure."""

from __future__ import annotations

AT_MOST_EVERY_S = 5.0
_AT_LEAST_EVERY_S = 30.0
_SHARE = 0.05
"""How much of the time is spent counting, at most."""


class LeakPace:
    """How long a count holds. `changes` is a number that grows whenever a poll finds that a session, ours or
    another, has come, gone or begun anything; what grows with time alone is counted, too, after a while.
    """

    def __init__(self) -> None:
        self._counted_at_s: float | None = None
        """When the last count was over; None during a count."""
        self._changes = -1
        """At the beginning of the last count."""
        self._shortest_s = AT_MOST_EVERY_S

    def begin(self, changes: int) -> None:
        """A count begins."""
        self._counted_at_s, self._changes = None, changes

    def end(self, now_s: float, took_s: float, refresh_s: float) -> float:
        """A count is over; returns the seconds to the next one, if nothing changes."""
        self._counted_at_s = now_s
        self._shortest_s = max(AT_MOST_EVERY_S, refresh_s, took_s * (1 / _SHARE - 1))
        return max(self._shortest_s, _AT_LEAST_EVERY_S)

    def is_due(self, now_s: float, changes: int) -> bool:
        """Whether to count now, since something has changed after the last count began."""
        counted_at_s = self._counted_at_s
        return (
            counted_at_s is not None and changes != self._changes and now_s - counted_at_s >= self._shortest_s
        )
