"""What the database knew of failed tests: waits, deadlocks, rows left, who wrote what a test had read. Pure.

It comes from recordings and leak checks of the runs, and from what the pytest plugin put into the reports.
A test is known there by the name of its sessions, whole or by its hash; reports have the names for hashes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from pgwatch_tests.identity.test_ids import namer, possible_ids
from pgwatch_tests.junit.summary import ShardReport
from pgwatch_tests.junit.verdicts import JUnitTest
from pgwatch_tests.record.merging.merged import RecordedRun, ServerReport, merge
from pgwatch_tests.record.model import DeadlockEvent, LeakEvent, WaitEvent
from pgwatch_tests.record.whole_names import WholeNames
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.numbers import named, plural

_PROPERTY = "pgwatch."
OWN_PROPERTY = f"{_PROPERTY}database"
"""The property of a merged document that has such a sentence."""
_LEFT = frozenset({"rows", "late_rows"})
_MOST_WAITS = 3
_MOST_DEADLOCKS = 2
_MOST_LEAKS = 5
_CONFIDENCES = {"marker": "its values bear its hash", "transaction": "by its transactions"}


class _Known:
    """What the recordings of one server know, by test."""

    def __init__(self, server: ServerReport) -> None:
        self.runs = {run.name for run in server.runs}
        self.waits: defaultdict[str, list[WaitEvent]] = defaultdict(list)
        self.deadlocks: defaultdict[str, list[DeadlockEvent]] = defaultdict(list)
        self.leaks: defaultdict[str, list[LeakEvent]] = defaultdict(list)
        for wait in server.waits:
            self.waits[wait.waiter.test].append(wait)
        for deadlock in server.deadlocks:
            for test in {member.side.test for member in deadlock.members}:
                self.deadlocks[test].append(deadlock)
        for leak in server.leaks:
            for test in {leak.test, *leak.candidates}:
                self.leaks[test].append(leak)


def with_database(shards: Sequence[ShardReport], runs: Sequence[RecordedRun]) -> list[ShardReport]:
    """Returns the shards, tests named as their sessions were, failed and flaky ones with their facts."""
    if not runs:
        return [replace(shard, tests=tuple(map(_with_properties, shard.tests))) for shard in shards]
    cases = [test.case for shard in shards for test in shard.tests]
    whole = WholeNames(chain.from_iterable(map(possible_ids, cases)))
    known = [_Known(server) for server in merge(map(whole.run, runs)).servers]
    name = namer({test for one in known for test in (*one.waits, *one.deadlocks, *one.leaks) if test})
    found = []
    for shard in shards:
        own = None if shard.run is None else shard.run.recorded.name
        servers = [one for one in known if own is None or own in one.runs]
        tests = (_with_facts(test, name(test.case), servers) for test in shard.tests)
        found.append(replace(shard, tests=tuple(tests)))
    return found


def _with_properties(test: JUnitTest) -> JUnitTest:
    if not _is_told(test):
        return test
    facts = tuple(_of_properties(test, with_waits=True, with_leaks=True))
    return test._replace(database=facts) if facts else test


def _is_told(test: JUnitTest) -> bool:
    return test.has_failed or test.verdict == "flaky"


def _with_facts(test: JUnitTest, name: str, servers: Sequence[_Known]) -> JUnitTest:
    if not _is_told(test):
        return test._replace(test=name)
    facts: list[str] = []
    for one in servers:
        facts += _waits(one.waits.get(name, ()))
        facts += _deadlocks(name, one.deadlocks.get(name, ()))
        facts += _leaks(name, one.leaks.get(name, ()))
    has_waits = any(name in one.waits or name in one.deadlocks for one in servers)
    has_leaks = any(name in one.leaks for one in servers)
    facts += _of_properties(test, with_waits=not has_waits, with_leaks=not has_leaks)
    return test._replace(test=name, database=tuple(dict.fromkeys(facts)))


def _waits(waits: Sequence[WaitEvent]) -> Iterator[str]:
    longest = sorted(waits, key=lambda one: -one.waited_s)
    for wait in longest[:_MOST_WAITS]:
        sides = [root.side.who for root in wait.roots] or [side.who for side in wait.blockers]
        blockers = named(list(dict.fromkeys(sides))) or "a session that isn't known"
        advice = f". {wait.advice}" if wait.advice else ""
        yield f"waited {in_words(wait.waited_s)} for {blockers}: {wait.target}{advice}"
    if len(waits) > _MOST_WAITS:
        rest_s = sum(wait.waited_s for wait in longest[_MOST_WAITS:])
        yield f"and {plural(len(waits) - _MOST_WAITS, 'more wait')}, {in_words(rest_s)} in all"


def _deadlocks(name: str, deadlocks: Sequence[DeadlockEvent]) -> Iterator[str]:
    for one in deadlocks[:_MOST_DEADLOCKS]:
        own = [member for member in one.members if member.side.test == name]
        others = [member.side.who for member in one.members if member.side.test != name]
        victims = {member.side.who for member in own}
        ended = "it" if one.victim in victims else one.victim or "one of them"
        with_whom = named(list(dict.fromkeys(others))) or "another session of its own"
        targets = ", ".join(dict.fromkeys(member.target for member in own))
        yield f"in a deadlock with {with_whom} over {targets}; the server ended {ended}"
    if len(deadlocks) > _MOST_DEADLOCKS:
        yield f"and {plural(len(deadlocks) - _MOST_DEADLOCKS, 'more deadlock')}"


def _leaks(name: str, leaks: Sequence[LeakEvent]) -> Iterator[str]:
    for one in leaks[:_MOST_LEAKS]:
        is_rows = one.kind == "rows"
        what = (
            f"{plural(one.rows, 'row') if is_rows else _noun(one.kind)} {'of ' if is_rows else ''}{one.name}"
        )
        if one.test == name:
            how = _CONFIDENCES.get(one.confidence, "")
            yield f"left {what}{f' ({how})' if how else ''}"
        else:
            yield f"{what} left by 1 of {len(one.candidates):,} tests, of which it is one"
    if len(leaks) > _MOST_LEAKS:
        yield f"and {plural(len(leaks) - _MOST_LEAKS, 'more table or object', 'more tables or objects')}"


def _noun(kind: str) -> str:
    return kind.replace("_", " ")


def _of_properties(test: JUnitTest, *, with_waits: bool, with_leaks: bool) -> Iterator[str]:
    """What the pytest plugin has told of the test in its report, unless the recordings know it better."""
    told = dict.fromkeys(pair for case in (test.case, *test.earlier) for pair in case.properties)
    values = {key.removeprefix(_PROPERTY): value for key, value in told if key.startswith(_PROPERTY)}
    if blocked_s := values.pop("blocked_s", ""):
        blocker, target = values.pop("blocked_by", ""), values.pop("blocked_on", "")
        if with_waits:
            yield f"waited {blocked_s} s for {blocker or 'others'}{f': {target}' if target else ''}"
    for key, value in values.items():
        if key == "waited_for":
            if with_waits and not blocked_s:
                yield f"waited for: {value}"
        elif key == "interference":
            yield f"tables that it had read were written to while it ran, perhaps by {value}"
        elif key == "database":
            yield value
        elif with_leaks or key not in _LEFT:
            yield f"{_noun(key)}: {value}"
