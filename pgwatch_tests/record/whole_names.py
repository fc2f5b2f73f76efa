"""Whole ids of tests, where the name of a session had no room for them: from lists that the run has left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.identity.known_tests import KnownTests, read_test_list
from pgwatch_tests.record.merging.merged import LastPicture, RecordedRun
from pgwatch_tests.record.model import DeadlockEvent, RecordedSide, TestSighting, WaitEvent

_LISTS = "*.tests"


def listed_tests(logs: Path) -> Iterator[str]:
    """Yields the tests that pytest collected, as its plugin has listed them in a run's directory of logs."""
    for path in sorted(logs.glob(_LISTS)):
        with suppress(ConfigurationError):
            yield from read_test_list(path)


class WholeNames:
    """Puts whole ids in the place of those that a session's name carries shortened, with a hash."""

    def __init__(self, tests: Iterable[str]) -> None:
        self._known = KnownTests(tests)

    def run(self, run: RecordedRun) -> RecordedRun:
        """The run, with whole names wherever they are known."""
        return replace(
            run,
            waits=tuple(map(self.wait, run.waits)),
            deadlocks=tuple(map(self.deadlock, run.deadlocks)),
            tests=tuple(map(self.sighting, run.tests)),
            last=None if run.last is None else self._picture(run.last),
        )

    def wait(self, event: WaitEvent) -> WaitEvent:
        """The wait, with whole names of its waiter and its blockers."""
        return replace(
            event,
            waiter=self._side(event.waiter),
            blockers=tuple(map(self._side, event.blockers)),
            roots=tuple(replace(root, side=self._side(root.side)) for root in event.roots),
        )

    def deadlock(self, event: DeadlockEvent) -> DeadlockEvent:
        """The deadlock, with whole names of its members and its victim."""
        members = tuple(replace(member, side=self._side(member.side)) for member in event.members)
        who = {before.side.who: now.side.who for before, now in zip(event.members, members, strict=True)}
        return replace(event, members=members, victim=who.get(event.victim, event.victim))

    def _picture(self, picture: LastPicture) -> LastPicture:
        sides = [self._side(one.side) for one in picture.sessions]
        who = {before.side.who: now.who for before, now in zip(picture.sessions, sides, strict=True)}
        sessions = (
            replace(one, side=side, blockers=tuple(who.get(blocker, blocker) for blocker in one.blockers))
            for one, side in zip(picture.sessions, sides, strict=True)
        )
        return replace(picture, sessions=tuple(sessions))

    def _side(self, side: RecordedSide) -> RecordedSide:
        identity = parse(side.name)
        test = None if identity is None else self._known.full_id(identity)
        if identity is None or test is None:
            return side
        return replace(side, test=test, who=side.who.replace(identity.label, test))

    def sighting(self, seen: TestSighting) -> TestSighting:
        """The sighting, with the whole name of its test."""
        identity = parse(f"{seen.runner}:{seen.worker} {_as_named(seen.test)}")
        test = None if identity is None else self._known.full_id(identity)
        return seen if test is None else replace(seen, test=test)


def _as_named(label: str) -> str:
    """`#1a2b3c4d ..py::test_a`, as a name has it, from `..py::test_a #1a2b3c4d`, as people are shown it."""
    test, mark, digest = label.rpartition(" #")
    return f"#{digest} {test}" if mark and len(digest) == 8 else label
