"""Since when something is seen, and how many builds of its branch were without it before and after."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Select, select

from pgwatch_tests.history.runs.builds import FAILED, Builds
from pgwatch_tests.history.runs.strings import texts_of, unpacked
from pgwatch_tests.history.runs.trend_model import MOST_BUILDS_ASIDE, Sightings
from pgwatch_tests.history.tables import BUILDS, RUN_OUTCOMES, RUNS, TEST_SETS


class SightingsReader:
    """Reads what surrounds sightings, on one connection."""

    def __init__(self, connection: Connection, builds: Builds) -> None:
        self._connection = connection
        self._builds = builds
        self._sets: dict[int, list[int]] = {}

    def read(self, seen: Collection[int], test: int, rows: Select[tuple[int]]) -> Sightings:
        """Returns when something was seen first and last in the window.

        `seen` are builds of one repository, `rows` a query for all builds with it, joined to BUILDS.
        """
        known = self._builds.known
        ordered = sorted(seen, key=lambda one: known[one].place)
        builds = Counter(known[number].branch for number in ordered)
        branch = max(reversed(builds), key=lambda one: builds[one])
        there = [number for number in ordered if known[number].branch == branch]
        first, last = there[0], there[-1]
        repository = known[first].repository
        all_builds = self._builds.on_branch(repository, branch)
        before = bisect_left(all_builds, known[first].place, key=lambda one: known[one].place)
        after = bisect_left(all_builds, known[last].place, key=lambda one: known[one].place) + 1
        older = rows.where(
            BUILDS.c.began < self._builds.since, BUILDS.c.repository == repository, BUILDS.c.branch == branch
        )
        is_older = self._connection.execute(older.limit(1)).first() is not None
        asides = () if is_older else all_builds[max(0, before - MOST_BUILDS_ASIDE) : before]
        builds_before, ran_before = self._watched(asides, test)
        builds_after, _ = self._watched(all_builds[after : after + MOST_BUILDS_ASIDE], test)
        moments = select(BUILDS.c.id, BUILDS.c.began).where(BUILDS.c.id.in_((first, last)))
        began = {row.id: row.began for row in self._connection.execute(moments)}
        texts = texts_of(self._connection, {branch, known[first].commit, known[last].commit})
        return Sightings(
            branch=texts[branch],
            is_older=is_older,
            first_commit=texts.get(known[first].commit, ""),
            first_began=began[first],
            builds_before=builds_before,
            ran_before=ran_before,
            last_commit=texts.get(known[last].commit, ""),
            last_began=began[last],
            builds_after=builds_after,
        )

    def _watched(self, builds: Sequence[int], test: int) -> tuple[int, int | None]:
        """How many of these builds were watched, and in how many of them the test is known to have ended.

        None: no outcome is known of any of them.
        """
        runs = select(RUNS.c.build, RUNS.c.test_set).where(RUNS.c.build.in_(builds), RUNS.c.watched_s > 0)
        rows = self._connection.execute(runs.distinct()).all() if builds else []
        told = {test_set for _, test_set in rows if test_set is not None}
        if not told or test == self._builds.nameless:
            return len({build for build, _ in rows}), None
        contents = select(TEST_SETS.c.id, TEST_SETS.c.tests).where(
            TEST_SETS.c.id.in_(told - self._sets.keys())
        )
        self._sets |= {number: unpacked(content) for number, content in self._connection.execute(contents)}
        failed = select(RUN_OUTCOMES.c.build).where(
            RUN_OUTCOMES.c.test == test, RUN_OUTCOMES.c.outcome.in_(FAILED), RUN_OUTCOMES.c.build.in_(builds)
        )
        ran = set(self._connection.execute(failed).scalars())
        ran.update(build for build, number in rows if number is not None and _holds(self._sets[number], test))
        return len({build for build, _ in rows}), len(ran)


def _holds(ordered: list[int], number: int) -> bool:
    place = bisect_left(ordered, number)
    return place < len(ordered) and ordered[place] == number
