"""Edge groups in a recording: what thousands in a queue share is written once, then named by its number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.locks.model import EdgeGroup, EdgeKind, LockTag, Party, Subject, Wait, WaitedLock


@dataclass(frozen=True, slots=True)
class About:
    """What edges are about."""

    lock: WaitedLock
    subject: Subject | None


@dataclass(frozen=True, slots=True)
class WaitParts:
    """A wait; its tag by its number."""

    pid: int
    virtualtransaction: str
    tag: int
    mode: str
    started: datetime | None


@dataclass(frozen=True, slots=True)
class GroupParts:
    """A group without its blockers and its age; what it is about by its number."""

    waiter: Party
    kind: EdgeKind
    confirmed: bool
    about: int
    wait: WaitParts | None


def parts_of(group: EdgeGroup, about: int, tag: int) -> GroupParts:
    """Returns the parts of a group; `about` and `tag` are numbers, the latter of no matter without a wait."""
    parts = None
    if group.wait is not None:
        one = group.wait
        parts = WaitParts(one.pid, one.virtualtransaction, tag, one.mode, one.started)
    return GroupParts(group.waiter, group.kind, group.confirmed, about, parts)


def group_of(parts: GroupParts, about: About, tag: LockTag | None) -> EdgeGroup:
    """Returns a group without blockers and age."""
    wait = None
    if parts.wait is not None:
        if tag is None:
            raise ValueError("a wait without the lock that it is for")
        one = parts.wait
        wait = Wait(one.pid, one.virtualtransaction, tag, one.mode, one.started)
    return EdgeGroup(parts.waiter, (), parts.kind, about.lock, wait, None, about.subject, parts.confirmed)
