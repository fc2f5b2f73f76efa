"""Flaky tests: those that failed and passed on one commit, and how often they were blocked meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from sqlalchemy import ColumnElement, Connection, Select, func, select

from pgwatch_tests.history.runs.builds import FAILED, FLAKY, PASSED, Builds, joined_builds, numbers_in
from pgwatch_tests.history.runs.strings import AT_ONCE, Sought, named, portions, read_each, texts_of
from pgwatch_tests.history.runs.trend_model import FlakyTrend
from pgwatch_tests.history.tables import BUILDS, RUN_OUTCOMES, RUN_PAIRS, RUNS, TEST_SETS

_BLOCKERS = 3
_CANDIDATES = 4  # times as many tests are looked at as are shown, if need be
_Key = tuple[int, int]
"""A test and a repository."""


@dataclass(slots=True)
class _Known:
    """What is known of one test. Builds are watched ones; commits may stand for builds without one."""

    failed: set[int] = field(default_factory=set)
    blocked_failed: set[int] = field(default_factory=set)
    passed: set[int] = field(default_factory=set)
    blocked_passed: int = 0
    """In how many builds it passed and was blocked."""
    failed_on: set[int] = field(default_factory=set)
    passed_on: set[int] = field(default_factory=set)
    last: tuple[int, int, int] = (-1, 0, 0)
    """Its last failure: place of the build, outcome, build."""

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
            _add_failures(connection, builds, some, known)
            _add_passes(connection, builds, known)
            flaky += [(key, one) for key, one in known.items() if one.commits]
    flaky.sort(key=lambda item: (-item[1].commits, -len(item[1].failed), item[0]))
    del flaky[most:]
    _add_blocked_passes(connection, builds, dict(flaky))
    blocked_by = _blockers(connection, builds, {test for (test, _), _ in flaky})
    texts = texts_of(connection, {number for key, _ in flaky for number in (*key, *blocked_by[key])})
    trends = []
    failures = read_each(connection, _last_failure, [(test, *one.last[1:]) for (test, _), one in flaky])
    for ((test, repository), one), ((message, began),) in zip(flaky, failures, strict=True):
        trends.append(
            FlakyTrend(
                repository=texts[repository],
                test=texts[test],
                commits=one.commits,
                failed_builds=len(one.failed),
                blocked_when_failed=len(one.blocked_failed),
                passed_builds=len(one.passed),
                blocked_when_passed=one.blocked_passed,
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


def _last_failure(
    test: ColumnElement[int], outcome: ColumnElement[int], build: ColumnElement[int]
) -> Select[str, datetime]:
    """A query for the message of the last failure, and when its build began."""
    of = RUN_OUTCOMES.c
    query = select(of.message, BUILDS.c.began).join(BUILDS, BUILDS.c.id == of.build)
    return (
        query.where(of.test == test, of.outcome == outcome, of.build == build)
        .order_by(of.run.desc())
        .limit(1)
    )


def _add_failures(
    connection: Connection, builds: Builds, tests: Sequence[int], known: defaultdict[_Key, _Known]
) -> None:
    """Adds the builds in which the tests failed."""
    of = RUN_OUTCOMES.c
    conditions = of.was_blocked, ~of.was_blocked, of.was_blocked.is_(None)
    columns = [joined_builds(of.build, condition) for condition in conditions]
    for some in portions(tests, AT_ONCE):
        query = (
            select(of.test, of.outcome, *columns)
            .where(of.outcome.in_(FAILED), of.test.in_(some), *builds.counted_in(RUN_OUTCOMES))
            .group_by(of.test, of.outcome)
        )
        for test, outcome, *texts in connection.execute(query).all():
            for was_blocked, text in zip((True, False, None), texts, strict=True):
                for repository, failed in builds.by_repository(numbers_in(text)).items():
                    one = known[test, repository]
                    commits = set(map(builds.commit.__getitem__, failed))
                    one.failed_on |= commits
                    if outcome == FLAKY:
                        one.passed_on |= commits
                    if was_blocked is not None:
                        one.failed.update(failed)
                    if was_blocked:
                        one.blocked_failed.update(failed)
                    last = max(failed, key=builds.place.__getitem__)
                    one.last = max(one.last, (builds.place[last], outcome, last))


def _add_passes(connection: Connection, builds: Builds, known: Mapping[_Key, _Known]) -> None:
    """Adds the builds in which the tests passed at once: many runs share a set of tests that passed."""
    tests = {test for test, _ in known}
    # By set: builds that were watched, and others.
    was_watched = RUNS.c.watched_s > 0
    columns = [joined_builds(RUNS.c.build, one) for one in (was_watched, ~was_watched)]
    query = select(RUNS.c.test_set, *columns).where(RUNS.c.test_set.is_not(None), *builds.counted_in(RUNS))
    rows = connection.execute(query.group_by(RUNS.c.test_set)).all() if tests else ()
    of_sets = {number: (watched, others) for number, watched, others in rows}
    contents = select(TEST_SETS.c.id, TEST_SETS.c.tests)
    if len(of_sets) <= AT_ONCE:
        contents = contents.where(TEST_SETS.c.id.in_(of_sets))
    sought = Sought(tests)
    sets: defaultdict[int, list[int]] = defaultdict(list)
    for number, content in connection.execute(contents).all() if of_sets else ():
        if number in of_sets:
            for test in sought.among(content):
                sets[test].append(number)
    of_kinds = [{number: numbers_in(texts[kind]) for number, texts in of_sets.items()} for kind in (0, 1)]
    passed = {
        test: [set(chain.from_iterable(map(kind.__getitem__, sets[test]))) for kind in of_kinds]
        for test in tests
    }
    on_commits: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for repository, counted in builds.by_repository(builds.counted).items():
        for build in counted:
            on_commits[repository, builds.commit[build]].append(build)
    for (test, repository), one in known.items():
        watched, others = passed[test]
        one.passed = set(builds.by_repository(watched).get(repository, ()))
        for commit in one.failed_on - one.passed_on:
            on_commit = on_commits[repository, commit]
            if not (watched.isdisjoint(on_commit) and others.isdisjoint(on_commit)):
                one.passed_on.add(commit)


def _add_blocked_passes(connection: Connection, builds: Builds, known: Mapping[_Key, _Known]) -> None:
    """Adds the builds in which the tests were blocked and passed."""
    of = RUN_OUTCOMES.c
    for some in portions(sorted({test for test, _ in known}), AT_ONCE):
        blocked = select(of.test, joined_builds(of.build)).where(
            of.outcome == PASSED, of.test.in_(some), of.was_blocked, *builds.counted_in(RUN_OUTCOMES)
        )
        for test, text in connection.execute(blocked.group_by(of.test)).all():
            for repository, numbers in builds.by_repository(set(numbers_in(text))).items():
                if (test, repository) in known:
                    known[test, repository].blocked_passed = len(numbers)


def _blockers(connection: Connection, builds: Builds, tests: Collection[int]) -> Mapping[_Key, Sequence[int]]:
    """Who blocked the tests in runs in which they failed, the most frequent first."""
    blockers: defaultdict[_Key, Counter[int]] = defaultdict(Counter)
    of, waits = RUN_OUTCOMES.c, RUN_PAIRS.c
    for some in portions(sorted(tests), AT_ONCE):
        query = (
            select(of.test, of.build, waits.blocker)
            .join(RUN_PAIRS, (waits.waiter == of.test) & (waits.build == of.build) & (waits.run == of.run))
            .where(of.outcome.in_(FAILED), of.test.in_(some), of.was_blocked)
            .where(*builds.counted_in(RUN_OUTCOMES))
            .order_by(of.outcome, of.build, of.run, waits.blocker)
        )
        for test, build, blocker in connection.execute(query).all():
            (repository,) = builds.by_repository([build])
            blockers[test, repository][blocker] += 1
    ordered = {key: [number for number, _ in some.most_common(_BLOCKERS)] for key, some in blockers.items()}
    return defaultdict(list, ordered)
