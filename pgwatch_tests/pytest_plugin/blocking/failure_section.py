"""The section of a failure: who held what while the failed test waited, as the sampler saw it last. Pure.

A picture belongs to a failure if its session is that of the error, or of the test, and neither a poll nor a
statement of the test between the two says that it went on: what it waited for earlier isn't why it failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgwatch_tests.locks.watch.wait_history import SeenWait, WaitHistory
from pgwatch_tests.pytest_plugin.blocking.lock_errors import (
    DEADLOCK,
    IDLE_TOO_LONG,
    LOCK_NOT_AVAILABLE,
    LockError,
)
from pgwatch_tests.pytest_plugin.blocking.words import TestNames, deadlock, picture
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain

_JUST_BEFORE_S = 1.5
"""The age of the last sight of a wait: polls are 0.25 s apart while anything waits, 1 s if very many do."""
_WITHOUT_POLL_S = 10.0
"""The same where there was no other poll since: a busy machine is late with the next one."""
_POLLS_BETWEEN = 2
"""How many polls may have missed the session since: an error takes a moment to become a test's failure."""
_DEADLOCK_SEEN_S = 5.0
_HELD_UP_S = 120.0
_WORTH_TELLING_S = 0.5


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a test, or of its set-up or tear-down."""

    name: str
    """The name of the test's sessions."""
    began: float
    at: float
    """When the attempt began and when it failed, in seconds since 1970."""
    errors: Sequence[LockError]
    ran_at: float | None = None
    """When the test's last statement was sent; None if it isn't known to have sent any."""


def lines_of(history: WaitHistory, names: TestNames, failure: Failure) -> list[str]:
    """Returns the section's lines; empty if there is nothing to tell of waits."""
    lines: list[str] = []
    told: set[int] = set()
    for error in failure.errors:
        if error.sqlstate == DEADLOCK:
            lines += _deadlock(history, names, failure, error, told)
        elif error.sqlstate == IDLE_TOO_LONG:
            lines += _held_up(history, names, failure, error)
        else:
            lines += _waited(history, names, failure, error, told)
    for seen in _just_before(history, failure, pid=None):
        if seen.wait.number not in told:
            told.add(seen.wait.number)
            lines += _told(names, seen, failure.at)
    total = history.sum_of(failure.name)
    if not lines and total is not None and total.longest is not None:
        longest = total.longest
        if longest.seen_at >= failure.began and longest.waited_s >= _WORTH_TELLING_S:
            behind = ", ".join(names.who(side) for side in longest.wait.roots or longest.wait.blockers)
            lines.append(
                f"Not why it failed, as far as is known: earlier it was blocked for "
                f"{durations.in_words(longest.waited_s)} by {behind}, for {plain(longest.wait.target)}."
            )
    return lines


def _waited(
    history: WaitHistory, names: TestNames, failure: Failure, error: LockError, told: set[int]
) -> list[str]:
    found = [seen for seen in _just_before(history, failure, error.pid) if seen.wait.number not in told]
    if not found:
        if error.sqlstate != LOCK_NOT_AVAILABLE:
            return []  # a cancelled query needn't have waited
        return [
            f"{_error(error)}: no poll saw this wait; it was shorter than the pause between two of them, or "
            "it was a NOWAIT."
        ]
    told.add(found[0].wait.number)
    return [f"{_error(error)}:", *_told(names, found[0], failure.at)]


def _told(names: TestNames, seen: SeenWait, at: float) -> list[str]:
    lines = picture(names, seen, at)
    if names.is_own(seen.wait):
        lines.append("  It waits for itself: both sessions are of one test, which the server can't see.")
    return lines


def _deadlock(
    history: WaitHistory, names: TestNames, failure: Failure, error: LockError, told: set[int]
) -> list[str]:
    circle = set(error.circle)
    for one in reversed(history.deadlocks):
        pids = {wait.waiter.pid for wait in one.waits}
        if pids & circle and failure.at - one.at <= _DEADLOCK_SEEN_S and one.at >= failure.began:
            told.update(wait.number for wait in one.waits)
            return [f"{_error(error)}, a circle of {len(one.waits)}:", *deadlock(names, one)]
    lines = [f"{_error(error)}. No two polls saw the circle; by the server's message it was:"]
    for pid, after in zip(error.circle, (*error.circle[1:], *error.circle[:1]), strict=True):
        lines.append(
            f"  {_side(history, names, failure, pid)} waited for {_side(history, names, failure, after)}"
        )
        seen = next((one for one in history.waits if one.wait.waiter.pid == pid), None)
        if seen is not None and failure.at - seen.seen_at <= _JUST_BEFORE_S:
            told.add(seen.wait.number)
            lines += picture(names, seen, failure.at)[1:3]
    return lines


def _side(history: WaitHistory, names: TestNames, failure: Failure, pid: int) -> str:
    side = history.side(pid, failure.at - _JUST_BEFORE_S)
    return f"pid {pid}" if side is None else names.who(side)


def _held_up(history: WaitHistory, names: TestNames, failure: Failure, error: LockError) -> list[str]:
    """Who waited for a session that was ended since it sat idle in its transaction."""
    behind: dict[int, SeenWait] = {}
    for seen in history.waits:
        held = [side for side in (*seen.wait.blockers, *seen.wait.roots) if side.pid]
        is_it = any(
            side.pid == error.pid if error.pid is not None else side.name == failure.name for side in held
        )
        if is_it and failure.began <= seen.seen_at and failure.at - seen.seen_at <= _HELD_UP_S:
            behind.setdefault(seen.wait.waiter.pid, seen)
    lines = [f"{_error(error)}: the test left a transaction open, and did nothing in it."]
    for seen in list(behind.values())[:5]:
        lines.append(
            f"  {names.who(seen.wait.waiter)} waited {durations.in_words(seen.waited_s)} behind it, for "
            f"{plain(seen.wait.target)}"
        )
    if not behind:
        lines.append("  Nobody was seen to wait for it.")
    lines.append("  advice: Commit, roll back or close it before the test does something else for long.")
    return lines


def _just_before(history: WaitHistory, failure: Failure, pid: int | None) -> Iterable[SeenWait]:
    """Yields the waits that went on right up to the failure: of that session, else of all of the test."""
    for seen in history.waits:
        side = seen.wait.waiter
        if (side.pid != pid) if pid is not None else (side.name != failure.name):
            continue
        if seen.seen_at < failure.began:
            continue
        if failure.ran_at is not None and failure.ran_at <= seen.seen_at:
            yield seen  # it has run nothing since, however long that took to become a failure
            continue
        polls = sum(seen.seen_at < poll <= failure.at for poll in history.polls)
        old_s = failure.at - seen.seen_at
        if old_s <= (_JUST_BEFORE_S if polls else _WITHOUT_POLL_S) and polls <= _POLLS_BETWEEN:
            yield seen


def _error(error: LockError) -> str:
    return plain(f"{error.message} ({error.sqlstate})")
