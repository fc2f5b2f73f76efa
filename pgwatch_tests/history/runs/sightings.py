"""Since when something is seen, and how many builds of its branch were without it before and after."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, select

from pgwatch_tests.history.runs.builds import FAILED, Builds
from pgwatch_tests.history.runs.recurrence import OnBranch
from pgwatch_tests.history.runs.strings import texts_of, unpacked
from pgwatch_tests.history.runs.trend_model import MOST_BUILDS_ASIDE, Sightings
from pgwatch_tests.history.tables import BUILDS, RUN_OUTCOMES, TEST_SETS


@dataclass(frozen=True, slots=True)
class Question:
    """What something is that was seen."""

    repository: int
    branches: Sequence[OnBranch]
    """Where it was seen in the window."""
    test: int
    rows: Select[tuple[int]]
    """A query for all builds in which it was seen, joined to BUILDS."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the answer is looked for: the branch, its first and last build, and the builds around them."""

    branch: int
    is_older: bool
    first: int
    before: Sequence[int]
    last: int
    after: Sequence[int]


class SightingsReader:
    """Reads what surrounds sightings, on one connection."""

    def __init__(self, connection: Connection, builds: Builds) -> None:
        self._connection = connection
        self._builds = builds
        self._sets: dict[int, list[int]] = {}

    def read(self, questions: Sequence[Question]) -> list[Sightings]:
        """Returns the answer of each question."""
        places = [self._place(one) for one in questions]
        self._builds.read_runs({number for one in places for number in (*one.before, *one.after)})
        builds = {number for one in places for number in (one.first, one.last)}
        moments = select(BUILDS.c.id, BUILDS.c.began).where(BUILDS.c.id.in_(builds))
        began = {row.id: row.began for row in self._connection.execute(moments)} if builds else {}
        commits = {number: self._builds.known[number].commit for number in builds}
        texts = texts_of(self._connection, {one.branch for one in places} | set(commits.values()))
        answers = []
        for question, one in zip(questions, places, strict=True):
            builds_before, ran_before = self._watched(one.before, question.test)
            answers.append(
                Sightings(
                    branch=texts[one.branch],
                    is_older=one.is_older,
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
        known, in_order = self._builds.known, self._builds.in_order
        # Of branches with as many builds, the one on which it was seen first most lately.
        most = max(question.branches, key=lambda one: (one.builds, one.first))
        first, last = in_order[most.first], in_order[most.last]
        all_builds = self._builds.on_branch(question.repository, most.branch)
        before = bisect_left(all_builds, most.first, key=lambda one: known[one].place)
        after = bisect_left(all_builds, most.last, key=lambda one: known[one].place) + 1
        is_older = False
        if len(self._builds.counted) < len(known):
            older = question.rows.where(
                BUILDS.c.began < self._builds.since,
                BUILDS.c.repository == question.repository,
                BUILDS.c.branch == most.branch,
            )
            is_older = self._connection.execute(older.limit(1)).first() is not None
        return _Place(
            most.branch,
            is_older,
            first,
            [] if is_older else all_builds[max(0, before - MOST_BUILDS_ASIDE) : before],
            last,
            all_builds[after : after + MOST_BUILDS_ASIDE],
        )

    def _watched(self, builds: Sequence[int], test: int) -> tuple[int, int | None]:
        """How many of these builds were watched, and in how many of them the test has passed or failed.

        None: no outcome is known of any of them.
        """
        runs = self._builds.watched(builds)
        sets = {number: {run.test_set for run in some} - {None} for number, some in runs.items()}
        told = set().union(*sets.values())
        if not told or test == self._builds.nameless:
            return len(runs), None
        if missing := told - self._sets.keys():
            contents = select(TEST_SETS.c.id, TEST_SETS.c.tests).where(TEST_SETS.c.id.in_(missing))
            self._sets |= {row.id: unpacked(row.tests) for row in self._connection.execute(contents)}
        ran = {
            number
            for number, some in sets.items()
            if any(_holds(self._sets[one], test) for one in some if one)
        }
        if others := runs.keys() - ran:
            failed = select(RUN_OUTCOMES.c.build).where(
                RUN_OUTCOMES.c.test == test,
                RUN_OUTCOMES.c.outcome.in_(FAILED),
                RUN_OUTCOMES.c.build.in_(others),
            )
            ran.update(self._connection.execute(failed).scalars())
        return len(runs), len(ran)


def _holds(ordered: list[int], number: int) -> bool:
    place = bisect_left(ordered, number)
    return place < len(ordered) and ordered[place] == number
