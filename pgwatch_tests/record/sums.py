"""Sums of waits: by pair of tests, by object, by cause, and blocked sessions over time. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from pgwatch_tests.identity.application_name import program_of
from pgwatch_tests.record.model import RecordedSide, WaitEvent
from pgwatch_tests.record.run_summary import BlockedSum, CauseSum, ObjectSum, PairSum

MOST_ROWS = 300
"""Rows of each sum that are kept, those with most blocked time."""
_MOMENT_S = 1e-6

K = TypeVar("K", bound=Hashable)


def label(side: RecordedSide) -> str:
    """The test, whichever worker runs it; else the application, whichever run it is of; else who it is."""
    return side.test or program_of(side.name) or side.name or side.who


def pairs(waits: Iterable[WaitEvent]) -> tuple[PairSum, ...]:
    """By root blocker and waiter; a wait with several root blockers is shared out among them."""
    shares = (
        ((label(root.side), label(wait.waiter)), root.blocked_s, wait)
        for wait in waits
        for root in wait.roots
    )
    return tuple(
        PairSum(
            *pair,
            sum=blocked,
            target=wait.target,
            object=wait.object,
            cause=wait.cause,
            explanation=wait.explanation,
            advice=wait.advice,
            longest_at=wait.began,
        )
        for pair, blocked, wait in _ranked(shares)
    )


def longest_by_pair(waits: Iterable[WaitEvent]) -> dict[tuple[str, str], tuple[WaitEvent, RecordedSide]]:
    """The longest wait by the labels of its root blocker and its waiter, and that root blocker."""
    longest: dict[tuple[str, str], tuple[WaitEvent, RecordedSide]] = {}
    for wait in waits:
        for root in wait.roots:
            pair = label(root.side), label(wait.waiter)
            if pair not in longest or wait.waited_s > longest[pair][0].waited_s:
                longest[pair] = wait, root.side
    return longest


def objects(waits: Iterable[WaitEvent]) -> tuple[ObjectSum, ...]:
    """By what was waited for, and in which mode."""
    shares = (((wait.object, wait.mode), wait.waited_s, wait) for wait in waits)
    return tuple(ObjectSum(*what, blocked) for what, blocked, _ in _ranked(shares))


def causes(waits: Iterable[WaitEvent]) -> tuple[CauseSum, ...]:
    """By diagnosis."""
    shares = ((wait.cause, wait.waited_s, wait) for wait in waits)
    return tuple(CauseSum(cause, blocked, wait.advice) for cause, blocked, wait in _ranked(shares))


def _ranked(shares: Iterable[tuple[K, float, WaitEvent]]) -> list[tuple[K, BlockedSum, WaitEvent]]:
    """The sum of each key's shares, with its longest wait; the largest first."""
    sums: dict[K, tuple[float, int, WaitEvent]] = {}
    for key, share_s, wait in shares:
        blocked_s, number, longest = sums.get(key, (0.0, 0, wait))
        sums[key] = (
            blocked_s + share_s,
            number + 1,
            wait if wait.waited_s > longest.waited_s else longest,
        )
    ranked = sorted(sums.items(), key=lambda item: (-item[1][0], -item[1][1], str(item[0])))
    return [
        (key, BlockedSum(blocked_s, number, longest.waited_s), longest)
        for key, (blocked_s, number, longest) in ranked[:MOST_ROWS]
    ]


def blocked_over_time(
    waits: Iterable[WaitEvent], since: datetime, until: datetime, steps: int
) -> tuple[int, ...]:
    """The most waits at once in each of `steps` equal parts of that time; 0 also where nobody watched."""
    step_s = (until - since).total_seconds() / steps
    if step_s <= 0:
        return (0,) * steps
    changes: list[tuple[float, int]] = []
    for wait in waits:
        began_s = (wait.began - since).total_seconds()
        changes += [(began_s, 1), (began_s + max(wait.waited_s, _MOMENT_S), -1)]
    most = [0] * steps
    blocked, before_s = 0, 0.0
    # An end before a beginning at the same moment: who follows another doesn't wait beside it.
    for moment_s, change in sorted(changes):
        _raise(most, before_s / step_s, moment_s / step_s, blocked)
        blocked, before_s = blocked + change, moment_s
    return tuple(most)


def _raise(most: list[int], start: float, end: float, blocked: int) -> None:
    """Has the steps from `start` until `end` be at least `blocked`."""
    if not blocked or end <= 0:
        return
    last = -int(-end // 1)  # a step that begins at the end has none of it
    for place in range(max(0, int(start)), min(len(most), last)):
        most[place] = max(most[place], blocked)


def largest(waits: Sequence[WaitEvent], most: int) -> tuple[WaitEvent, ...]:
    """The longest waits, the longest first."""
    return tuple(sorted(waits, key=lambda wait: (-wait.waited_s, wait.number))[:most])
