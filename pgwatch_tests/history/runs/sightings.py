"""Since when something is seen, and how many builds of its branch were without it before and after."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, select

from pgwatch_tests.history.runs.builds import FAILED, Builds
from pgwatch_tests.history.runs.recurrence import Names, OnBranch, equal, table_of
from pgwatch_tests.history.runs.strings import AT_ONCE, Sought, portions, read_each, texts_of
from pgwatch_tests.history.runs.trend_model import MOST_BUILDS_ASIDE, Sightings
from pgwatch_tests.history.tables import BUILDS, RUN_OUTCOMES, TEST_SETS


@dataclass(frozen=True, slots=True)
class Question:
    """What something is that was seen."""

    repository: int
    branches: Sequence[OnBranch]
    """Where it was seen in the window."""
    test: int
    names: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the answer is looked for: the branch, its first and last build, and the builds around them."""

    branch: int
    older: Sequence[int]
    """Builds of the branch before the window."""
    first: int
    before: Sequence[int]
    last: int
    after: Sequence[int]


class SightingsReader:
    """Reads what surrounds sightings, on one connection."""

    def __init__(self, connection: Connection, builds: Builds) -> None:
        self._connection = connection
        self._builds = builds

    def read(self, names: Names, questions: Sequence[Question]) -> list[Sightings]:
        """Returns the answer of each question. `names`: the columns that name it."""
        places = [self._place(one) for one in questions]
        are_older = self._are_older(names, questions, places)
        before = [() if older else one.before for one, older in zip(places, are_older, strict=True)]
        self._builds.read_runs({number for some in before for number in some})
        self._builds.read_runs({number for one in places for number in one.after})
        builds = {number for one in places for number in (one.first, one.last)}
        moments = select(BUILDS.c.id, BUILDS.c.began).where(BUILDS.c.id.in_(builds))
        began = {row.id: row.began for row in self._connection.execute(moments)} if builds else {}
        commits = {number: self._builds.commit[number] for number in builds}
        texts = texts_of(self._connection, {one.branch for one in places} | set(commits.values()))
        ran = self._ran(before, [one.test for one in questions])
        answers = []
        for one, is_older, (builds_before, ran_before) in zip(places, are_older, ran, strict=True):
            answers.append(
                Sightings(
                    branch=texts[one.branch],
                    is_older=is_older,
                    first_commit=texts.get(commits[one.first], ""),
                    first_began=began[one.first],
                    builds_before=builds_before,
                    ran_before=ran_before,
                    last_commit=texts.get(commits[one.last], ""),
                    last_began=began[one.last],
                    builds_after=len(self._builds.watched(one.after)),
                )
            )
        return answers

    def _place(self, question: Question) -> _Place:
        place, in_order = self._builds.place, self._builds.in_order
        # Of branches with as many builds, the one on which it was seen first most lately.
        most = max(question.branches, key=lambda one: (one.builds, one.first))
        all_builds = self._builds.on_branch(question.repository, most.branch)
        before = bisect_left(all_builds, most.first, key=place.__getitem__)
        after = bisect_left(all_builds, most.last, key=place.__getitem__) + 1
        return _Place(
            most.branch,
            self._builds.before_on_branch(question.repository, most.branch),
            in_order[most.first],
            all_builds[max(0, before - MOST_BUILDS_ASIDE) : before],
            in_order[most.last],
            all_builds[after : after + MOST_BUILDS_ASIDE],
        )

    def _are_older(self, names: Names, questions: Sequence[Question], places: Sequence[_Place]) -> list[bool]:
        """Whether each was seen on its branch before the window."""
        table = table_of(names)
        before = self._builds.before_in(table)

        def build(
            repository: ColumnElement[int], branch: ColumnElement[int], *numbers: ColumnElement[int]
        ) -> Select[int]:
            seen = select(table.c.build).join(BUILDS, BUILDS.c.id == table.c.build)
            on_branch = BUILDS.c.repository == repository, BUILDS.c.branch == branch
            return seen.where(*equal(names, numbers), *before, *on_branch).limit(1)

        asked = [number for number, one in enumerate(places) if one.older]
        are_older = [False] * len(places)
        keys = [
            (questions[number].repository, places[number].branch, *questions[number].names)
            for number in asked
        ]
        for number, rows in zip(asked, read_each(self._connection, build, keys), strict=True):
            are_older[number] = bool(rows)
        return are_older

    def _ran(self, before: Sequence[Sequence[int]], tests: Sequence[int]) -> list[tuple[int, int | None]]:
        """How many of these builds were watched, and in how many of them the test has passed or failed.

        None: no outcome is known of any of them.
        """
        watched = [self._builds.watched(some) for some in before]
        told = [
            {run.test_set for some in runs.values() for run in some if run.test_set is not None}
            for runs in watched
        ]
        holders = self._holders(set().union(*told), tests)
        ran: list[set[int] | None] = []
        missing: dict[int, set[int]] = {}
        for runs, sets, test in zip(watched, told, tests, strict=True):
            of_test = {
                number for number, some in runs.items() if any(run.test_set in holders[test] for run in some)
            }
            is_known = bool(sets) and test != self._builds.nameless
            ran.append(of_test if is_known else None)
            if is_known:
                missing.setdefault(test, set()).update(runs.keys() - of_test)
        failed = self._failed(missing)
        return [
            (len(runs), None if some is None else len(some | (runs.keys() & failed.get(test, set()))))
            for runs, some, test in zip(watched, ran, tests, strict=True)
        ]

    def _holders(self, sets: Collection[int], tests: Iterable[int]) -> Mapping[int, set[int]]:
        """By test: those of the sets that hold it."""
        sought = Sought(set(tests))
        holders: defaultdict[int, set[int]] = defaultdict(set)
        for some in portions(sorted(sets), AT_ONCE):
            contents = select(TEST_SETS.c.id, TEST_SETS.c.tests).where(TEST_SETS.c.id.in_(some))
            for number, content in self._connection.execute(contents):
                for test in sought.among(content):
                    holders[test].add(number)
        return holders

    def _failed(self, of_tests: Mapping[int, Collection[int]]) -> Mapping[int, set[int]]:
        """By test: those of the builds in which it failed."""
        builds = sorted(set().union(*of_tests.values()))
        failed: dict[int, set[int]] = {}
        outcomes = RUN_OUTCOMES.c
        for tests in portions(sorted(of_tests), AT_ONCE // 2):
            for some in portions(builds, AT_ONCE // 2):
                query = select(outcomes.test, outcomes.build).where(
                    outcomes.test.in_(tests), outcomes.outcome.in_(FAILED), outcomes.build.in_(some)
                )
                for test, build in self._connection.execute(query):
                    failed.setdefault(test, set()).add(build)
        return failed
