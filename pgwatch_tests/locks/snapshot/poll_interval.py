"""Poll interval: often while something waits, seldom when that would cost too much. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

# A deadlock lives at most deadlock_timeout, 1 s by default, and must be seen twice in that time.
WHILE_BLOCKED_S = 0.25
WHILE_BLOCKED_AT_MOST_S = 0.5
WITH_SECOND_LOOKS_S = 0.75
"""At most, where what is seen once is looked at again SECOND_LOOK_S later."""
_OFTEN_S = 1.0
"""The pace while nothing waits, up to which polls are as frequent as can be while something does."""
MANY_WAITERS = 200
MANY_WAITERS_S = 1.0
LARGEST_SHARE = 0.05
FIRST_RETRY_S = 0.5
# With longer pauses, a watch would miss too much.
LONGEST_PAUSE_S = 5.0
_POLLS_COMPARED = 4


def pause_s(
    blocked: int, poll_s: float, idle_s: float, blocked_at_most_s: float = WHILE_BLOCKED_AT_MOST_S
) -> float:
    """Seconds to sleep before the next poll.

    `blocked` sessions wait, the last poll kept the server busy for `poll_s`, and `idle_s` is the pace while
    nothing waits. At most 5 % of the time is spent inside polls, as long as they take less than 0.25 s.
    """
    pace_s = idle_s
    if blocked:
        # A longer interval makes these polls rarer too, as far as deadlocks are still seen twice.
        # Else whole parts of the interval: what is due with it isn't late.
        parts = math.ceil(idle_s / blocked_at_most_s)
        few_s = WHILE_BLOCKED_S if idle_s <= _OFTEN_S else idle_s / parts
        pace_s = min(idle_s, few_s if blocked <= MANY_WAITERS else MANY_WAITERS_S)
    return max(pace_s - poll_s, min(poll_s * (1 / LARGEST_SHARE - 1), LONGEST_PAUSE_S))


class PollPace:
    """The pauses between the polls of one source.

    A poll costs the server what the quickest of the last ones took: what it takes beyond that, it waits for a
    processor. To poll less often for that would miss most on busy machines.
    """

    def __init__(self, blocked_at_most_s: float = WHILE_BLOCKED_AT_MOST_S) -> None:
        self._blocked_at_most_s = blocked_at_most_s
        self._polls_s: deque[float] = deque(maxlen=_POLLS_COMPARED)

    def pause_s(self, blocked: int, poll_s: float, idle_s: float) -> float:
        """Returns the seconds to sleep after this poll; the arguments are those of `pause_s`."""
        self._polls_s.append(poll_s)
        return pause_s(blocked, min(self._polls_s), idle_s, self._blocked_at_most_s)


def retry_pauses_s() -> Iterator[float]:
    """Seconds to sleep after one failed poll, after the next in a row, and so on: growing up to 5 s."""
    pause_s = FIRST_RETRY_S
    while True:
        yield pause_s
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
