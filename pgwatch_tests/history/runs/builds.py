"""Builds in the order of their beginnings, and those of them that a trend is about.

They are read once, as numbers: what was seen in thousands of builds is then compared without a query each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, case, false, func, select

from pgwatch_tests.history.runs.model import OUTCOMES
from pgwatch_tests.history.runs.strings import AT_ONCE, digest, portions
from pgwatch_tests.history.tables import BUILDS, RUNS, STRINGS

FAILED = tuple(OUTCOMES.index(outcome) for outcome in ("failed", "error", "flaky"))
"""The numbers of outcomes with an attempt that failed."""
FLAKY = OUTCOMES.index("flaky")
PASSED = OUTCOMES.index("passed")
"""The number of the outcome of a test that passed at once."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which builds count, and tests of which names."""

    since: datetime
    test: str = ""
    """`*` stands for anything, `?` for one character; without them, for a part of a name. Empty: any name."""
    branch: str = ""
    """The only branch that counts; empty if all do."""


class Build(NamedTuple):
    """One CI run, by the numbers of its strings. A tuple: there are tens of thousands."""

    place: int
    """Its place in the order of all builds."""
    repository: int
    branch: int
    commit: int
    """Negative, and the build's own, where none is known: it is compared with no other."""


class Run(NamedTuple):
    """One shard in one attempt of a build."""

    build: int
    watched: bool
    test_set: int | None


class Counts(NamedTuple):
    """How much is in a window."""

    runs: int
    watched_builds: int
    told_builds: int
    """Builds whose outcomes of tests are known."""


_RUN = (RUNS.c.build, RUNS.c.watched_s > 0, RUNS.c.test_set)


class Builds:
    """All builds that are kept, in their order, and those of them in a window."""

    def __init__(self, connection: Connection, window: Window) -> None:
        self._connection = connection
        nameless = connection.execute(select(STRINGS.c.id).where(STRINGS.c.digest == digest(""))).scalar()
        self.nameless = nameless
        """The number of the empty string: of the test, say, that nobody knows."""
        self._holds = [BUILDS.c.began >= window.since]
        if window.branch:
            branch = select(STRINGS.c.id).where(STRINGS.c.digest == digest(window.branch)).scalar_subquery()
            self._holds.append(BUILDS.c.branch == branch)
        columns = BUILDS.c.id, BUILDS.c.repository, BUILDS.c.branch, BUILDS.c.commit, and_(*self._holds)
        rows = connection.execute(select(*columns).order_by(BUILDS.c.began, BUILDS.c.id)).all()
        self.known = {
            number: Build(place, repository, branch, -number if commit == nameless else commit)
            for place, (number, repository, branch, commit, _) in enumerate(rows)
        }
        """All builds, in their order."""
        self.in_order = tuple(self.known)
        """The numbers of all builds, in their order."""
        self.repositories = frozenset(one.repository for one in self.known.values())
        self.counted = [number for number, *_, counts in rows if counts]
        """The numbers of the builds in the window."""
        self._lowest = min(self.counted, default=0)
        above = sum(number >= self._lowest for number in self.known)
        self._are_mixed = above > len(self.counted)
        self.since = window.since
        self._of_build: dict[int, list[Run]] = {}
        self._on_branches: dict[tuple[int, int], list[int]] = {}

    def counted_in(self, table: Table) -> list[ColumnElement[bool]]:
        """Conditions that rows of a table belong to builds in the window.

        Numbers of builds grow with time, but for what was added late: an index begins at the lowest one.
        """
        conditions = [table.c.build >= self._lowest]
        if self._are_mixed:
            conditions.append(table.c.build.in_(select(BUILDS.c.id).where(*self._holds)))
        return conditions if self.counted else [false()]

    def counts(self) -> Counts:
        """Counts runs and builds in the window."""
        build = RUNS.c.build
        watched, told = (RUNS.c.watched_s > 0, build), (RUNS.c.test_set.is_not(None), build)
        columns = func.count(), func.count(case(watched).distinct()), func.count(case(told).distinct())
        return Counts(*self._connection.execute(select(*columns).where(*self.counted_in(RUNS))).one())

    def read_runs(self, builds: Collection[int]) -> None:
        """Reads the runs of these builds, for `watched`."""
        missing = sorted(set(builds).difference(self._of_build))
        for some in portions(missing, AT_ONCE):
            self._of_build |= {number: [] for number in some}
            query = select(*_RUN).where(RUNS.c.build.in_(some))
            for row in self._connection.execute(query).all():
                self._of_build[row[0]].append(Run(*row))

    def watched(self, builds: Collection[int]) -> dict[int, list[Run]]:
        """The watched runs of these builds; builds without one are left out."""
        self.read_runs(builds)
        runs = {number: [run for run in self._of_build[number] if run.watched] for number in builds}
        return {number: some for number, some in runs.items() if some}

    def on_branch(self, repository: int, branch: int) -> list[int]:
        """All builds of a branch, in their order."""
        if not self._on_branches:
            for number, one in self.known.items():
                self._on_branches.setdefault((one.repository, one.branch), []).append(number)
        return self._on_branches[repository, branch]
