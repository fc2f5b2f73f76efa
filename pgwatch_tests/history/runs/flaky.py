"""Flaky tests: those that failed and passed on one commit, and how often they were blocked meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from pgwatch_tests.history.runs.builds import FAILED, FLAKY, PASSED, Builds
from pgwatch_tests.history.runs.strings import named, texts_of, unpacked
from pgwatch_tests.history.runs.trend_model import FlakyTrend
from pgwatch_tests.history.tables import BUILDS, RUN_OUTCOMES, RUN_PAIRS, TEST_SETS

_BLOCKERS = 3
_CANDIDATES = 4  # times as many tests are looked at as are shown, if need be
_FEW_SETS = 500  # an older SQLite takes 999 parameters
_Key = tuple[int, int]
"""A test and a repository."""


@dataclass(slots=True)
class _Known:
    """What is known of one test. Builds are watched ones; commits may stand for builds without one."""

    failed: set[int] = field(default_factory=set)
    blocked_failed: set[int] = field(default_factory=set)
    passed: set[int] = field(default_factory=set)
    blocked_passed: set[int] = field(default_factory=set)
    failed_on: set[int] = field(default_factory=set)
    passed_on: set[int] = field(default_factory=set)
    blockers: Counter[int] = field(default_factory=Counter)
    """Who blocked it in runs in which it failed."""
    last_run: int = 0
    """The last run in which it failed."""

    @property
    def commits(self) -> int:
        """On how many commits it did both."""
        return len(self.failed_on & self.passed_on)


def flaky_tests(connection: Connection, builds: Builds, pattern: str, most: int) -> tuple[FlakyTrend, ...]:
    """Returns the tests that failed and passed on one commit, on most commits first."""
    failed = _often_failed(connection, builds, pattern, _CANDIDATES * most)
    flaky: list[tuple[_Key, _Known]] = []
    # As a rule the first ones are enough; not where tests always fail.
    for some in (failed[:most], failed[most:]):
        if some and len(flaky) < most:
            known: defaultdict[_Key, _Known] = defaultdict(_Known)
            for test in some:
                _add_failures(connection, builds, test, known)
            _add_passes(connection, builds, known)
            flaky += [(key, one) for key, one in known.items() if one.commits]
    flaky.sort(key=lambda item: (-item[1].commits, -len(item[1].failed), item[0]))
    del flaky[most:]
    blocked_by = {key: [number for number, _ in one.blockers.most_common(_BLOCKERS)] for key, one in flaky}
    texts = texts_of(connection, {number for key, _ in flaky for number in (*key, *blocked_by[key])})
    trends = []
    for (test, repository), one in flaky:
        last = (
            select(RUN_OUTCOMES.c.message, BUILDS.c.began)
            .join(BUILDS, BUILDS.c.id == RUN_OUTCOMES.c.build)
            .where(RUN_OUTCOMES.c.run == one.last_run, RUN_OUTCOMES.c.test == test)
        )
        message, began = connection.execute(last).one()
        trends.append(
            FlakyTrend(
                repository=texts[repository],
                test=texts[test],
                commits=one.commits,
                failed_builds=len(one.failed),
                blocked_when_failed=len(one.blocked_failed),
                passed_builds=len(one.passed),
                blocked_when_passed=len(one.blocked_passed),
                blockers=tuple(texts[number] for number in blocked_by[test, repository]),
                message=message,
                last_began=began,
            )
        )
    return tuple(trends)


def _often_failed(connection: Connection, builds: Builds, pattern: str, most: int) -> Sequence[int]:
    """The tests that failed in most builds."""
    number = func.count(RUN_OUTCOMES.c.build.distinct())
    query = select(RUN_OUTCOMES.c.test).where(
        RUN_OUTCOMES.c.outcome.in_(FAILED), *builds.counted_in(RUN_OUTCOMES)
    )
    if pattern:
        query = query.where(named(RUN_OUTCOMES.c.test, pattern))
    ordered = query.group_by(RUN_OUTCOMES.c.test).order_by(number.desc(), RUN_OUTCOMES.c.test)
    return connection.execute(ordered.limit(most)).scalars().all()


def _add_failures(
    connection: Connection, builds: Builds, test: int, known: defaultdict[_Key, _Known]
) -> None:
    """Adds the runs in which a test failed, and those in which it was blocked and passed."""
    waits = select(RUN_PAIRS.c.run, RUN_PAIRS.c.blocker).where(RUN_PAIRS.c.waiter == test)
    blockers: defaultdict[int, list[int]] = defaultdict(list)
    for run, blocker in connection.execute(waits.where(*builds.counted_in(RUN_PAIRS))).all():
        blockers[run].append(blocker)
    outcomes = select(RUN_OUTCOMES.c.build, RUN_OUTCOMES.c.run, RUN_OUTCOMES.c.outcome).where(
        RUN_OUTCOMES.c.test == test,
        RUN_OUTCOMES.c.outcome.in_((PASSED, *FAILED)),
        *builds.counted_in(RUN_OUTCOMES),
    )
    for build, run, outcome in connection.execute(outcomes).all():
        of = builds.known[build]
        one = known[test, of.repository]
        watched, was_blocked = builds.runs[run].watched, run in blockers
        if outcome == PASSED:
            if watched and was_blocked:
                one.blocked_passed.add(build)
            continue
        one.failed_on.add(of.commit)
        if outcome == FLAKY:
            one.passed_on.add(of.commit)
        if watched:
            one.failed.add(build)
            if was_blocked:
                one.blocked_failed.add(build)
                one.blockers.update(blockers[run])
        last = builds.runs.get(one.last_run)
        if last is None or builds.known[last.build].place <= of.place:
            one.last_run = run


def _add_passes(connection: Connection, builds: Builds, known: dict[_Key, _Known]) -> None:
    """Adds the builds in which the tests passed at once: many runs share a set of tests that passed."""
    tests = {test for test, _ in known}
    # By set and repository: commits, and watched builds.
    of_sets: defaultdict[int, dict[int, tuple[set[int], set[int]]]] = defaultdict(dict)
    for run in builds.runs.values() if tests else ():
        if run.test_set is not None:
            build = builds.known[run.build]
            commits, watched = of_sets[run.test_set].setdefault(build.repository, (set(), set()))
            commits.add(build.commit)
            if run.watched:
                watched.add(run.build)
    contents = select(TEST_SETS.c.id, TEST_SETS.c.tests)
    if len(of_sets) <= _FEW_SETS:
        contents = contents.where(TEST_SETS.c.id.in_(of_sets))
    for number, content in connection.execute(contents).all() if of_sets else ():
        for test in tests.intersection(unpacked(content)) if number in of_sets else ():
            for repository, (commits, watched) in of_sets[number].items():
                one = known.get((test, repository))
                if one is not None:
                    one.passed_on |= commits
                    one.passed |= watched
