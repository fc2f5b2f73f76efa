"""What a gate on locks fails on: waits that last, and deadlocks. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.locks.contention import Contention
from pgwatch_tests.locks.diagnose import Diagnosis, diagnose
from pgwatch_tests.locks.graph import Branch
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party
from pgwatch_tests.locks.pace import pause_s
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.server.application_name import OWN_NAME

Verdict = Literal["finding", "shorter", "undecided"]

_SHORTEST_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class JudgedRoot:
    """A root blocker, or a deadlock that no root leads to, and what a gate says about it."""

    party: Party
    tree: Branch[Party] | None
    """What is shown of it; None for a deadlock below a root, which is shown there."""
    diagnosis: Diagnosis
    blocks: int
    longest_wait_s: float
    """Of the sessions behind it; waits of pgwatch-tests itself don't count."""
    verdict: Verdict
    """`undecided`: a deadlock ended the looking before it was known how long others had waited."""


def judge(picture: LockPicture, min_wait_s: float) -> tuple[JudgedRoot, ...]:
    """Everything that blocks, in the order of the tree. A finding lasts `min_wait_s`, or is a deadlock."""
    tops = {tree.node: tree for tree in picture.forest}
    below = [cycle[0] for cycle in picture.snapshot.deadlocks if not tops.keys() & set(cycle)]
    return tuple(_judged(picture, party, tops.get(party), min_wait_s) for party in (*tops, *below))


def has_finding(snapshot: LockSnapshot, min_wait_s: float) -> bool:
    """Whether a gate fails: something was blocked for `min_wait_s`, or a deadlock was seen."""
    return any(root.verdict == "finding" for root in judge(LockPicture(snapshot), min_wait_s))


def watch_has_finding(seen: Contention, min_wait_s: float) -> bool:
    """The same of all that a watch saw, the deadlocks that only the server counted included."""
    counted = seen.deadlocks_counted.total if seen.deadlocks_counted else 0
    longest_s = seen.longest.wait_s if seen.longest else 0.0
    return bool(seen.waits and longest_s >= min_wait_s) or seen.deadlocks_caught + counted > 0


def look_again_in_s(first: LockSnapshot, last: LockSnapshot, min_wait_s: float) -> float | None:
    """Seconds until another look is worth it; None once every wait of the first look is decided.

    Before PostgreSQL 14 the server doesn't tell when a wait began, so one that was there at the first look
    may be of any age until it has been watched for `min_wait_s`, or is over. What came later is younger.
    """
    if last.deadlocks:
        return None
    there_at_first = {(group.waiter, group.wait) for group in first.groups}
    open_s = [
        group.wait_s or 0.0
        for group in _of_unknown_age(last)
        if (group.waiter, group.wait) in there_at_first and (group.wait_s or 0.0) < min_wait_s
    ]
    if not open_s:
        return None
    rest_s = min_wait_s - min(open_s)
    return max(_SHORTEST_PAUSE_S, min(rest_s, pause_s(last.blocked or 1, 0.0, rest_s)))


def _judged(picture: LockPicture, party: Party, tree: Branch[Party] | None, min_wait_s: float) -> JudgedRoot:
    behind = {waiter for waiter in picture.graph.blocked_by(party) | {party} if not _is_ours(picture, waiter)}
    waits_s = [picture.wait_s(waiter) for waiter in behind]
    longest_wait_s = max((wait_s for wait_s in waits_s if wait_s is not None), default=None)
    verdict: Verdict = "shorter"
    if picture.deadlock_of(party) or (longest_wait_s is not None and longest_wait_s >= min_wait_s):
        verdict = "finding"
    elif picture.snapshot.deadlocks and any(
        group.waiter in behind for group in _of_unknown_age(picture.snapshot) if group.confirmed
    ):
        verdict = "undecided"
    return JudgedRoot(
        party, tree, diagnose(picture, party), picture.blocks(party), longest_wait_s or 0.0, verdict
    )


def _is_ours(picture: LockPicture, waiter: Party) -> bool:
    """Whether it is, or may be, a session of pgwatch-tests: one that a locked catalog doesn't let in."""
    session = picture.sessions.get(waiter)
    if session is None:
        return False
    at_the_door = all(group.lock.type == "relation" for group in picture.groups.get(waiter, ()))
    return session.application_name == OWN_NAME or (session.is_connecting and at_the_door)


def _of_unknown_age(snapshot: LockSnapshot) -> list[EdgeGroup]:
    """The waits whose beginning the server didn't tell, which count from when they were first seen."""
    return [group for group in snapshot.groups if group.wait is not None and group.wait.started is None]
