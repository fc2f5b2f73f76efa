"""Whole ids of tests in what a recording has, where session names carry them in short. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from pgwatch_tests.identity.application_name import TestIdentity, parse
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.locks.model import LockSnapshot, Session
from pgwatch_tests.record.model import RecordedSide, TestSighting, WaitEvent

_WITH_DIGEST = re.compile(r"(?:(.*) )?#([0-9a-f]{8})")


def named_snapshot(snapshot: LockSnapshot, known: KnownTests) -> LockSnapshot:
    """The snapshot with the ids of `known`, in sessions that had only a short one."""
    return replace(snapshot, sessions=tuple(_named_session(one, known) for one in snapshot.sessions))


def named_wait(wait: WaitEvent, known: KnownTests) -> WaitEvent:
    """The wait with the ids of `known`."""
    return replace(
        wait,
        waiter=_named_side(wait.waiter, known),
        blockers=tuple(_named_side(one, known) for one in wait.blockers),
        roots=tuple(replace(root, side=_named_side(root.side, known)) for root in wait.roots),
    )


def named_sighting(seen: TestSighting, known: KnownTests) -> TestSighting:
    """The sighting with the id of `known`."""
    shortened = _WITH_DIGEST.fullmatch(seen.test)
    if shortened is None:
        return seen
    test, digest = shortened[1] or f"#{shortened[2]}", shortened[2]
    whole = known.full_id(TestIdentity(seen.runner, seen.worker, test, digest))
    return replace(seen, test=whole) if whole else seen


def _named_session(session: Session, known: KnownTests) -> Session:
    whole = "" if session.known_test else _whole_id(session.application_name, known)
    return replace(session, known_test=whole) if whole else session


def _named_side(side: RecordedSide, known: KnownTests) -> RecordedSide:
    whole = _whole_id(side.name, known)
    return replace(side, who=whole, test=whole) if whole else side


def _whole_id(application_name: str, known: KnownTests) -> str:
    if "#" not in application_name:
        return ""
    identity = parse(application_name)
    return (identity and known.full_id(identity)) or ""
