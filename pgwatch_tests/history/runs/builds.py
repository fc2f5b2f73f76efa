"""Builds in the order of their beginnings, and those of them that a trend is about.

They are read once, as numbers: what was seen in thousands of builds is then compared without a query each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Table,
    Text,
    case,
    cast,
    false,
    func,
    select,
)

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
        self.since = window.since
        nameless, branch = (
            connection.execute(select(STRINGS.c.id).where(STRINGS.c.digest == digest(text))).scalar()
            for text in ("", window.branch)
        )
        self.nameless = nameless
        """The number of the empty string: of the test, say, that nobody knows."""
        columns = BUILDS.c.id, BUILDS.c.repository, BUILDS.c.branch, BUILDS.c.commit
        rows = connection.execute(select(*columns).order_by(BUILDS.c.began, BUILDS.c.id)).all()
        # Columns, rather than an object per build: there are tens of thousands.
        numbers, repositories, branches, commits = zip(*rows, strict=True) if rows else ((), (), (), ())
        self.in_order: Sequence[int] = numbers
        """The numbers of all builds, in their order."""
        self.branch_at: Sequence[int] = branches
        """The branch of each, in that order."""
        self.place = dict(zip(numbers, range(len(numbers)), strict=True))
        """By number: the place in that order."""
        self._repository = dict(zip(numbers, repositories, strict=True))
        self.commit = {
            number: -number if commit == nameless else commit
            for number, commit in zip(numbers, commits, strict=True)
        }
        """By number. Negative, and the build's own, where none is known: it is compared with no other."""
        self.repositories = frozenset(repositories)
        # Of another name than in a query around it, whose rows it would otherwise be asked of.
        self._in_window = BUILDS.alias("in_window")
        self._holds = [self._in_window.c.began >= window.since]
        older = select(func.count()).select_from(BUILDS).where(BUILDS.c.began < window.since)
        self._older = connection.execute(older).scalar_one()
        self.counted: Sequence[int] = numbers[self._older :]
        """The numbers of the builds in the window."""
        if window.branch:
            self._holds.append(self._in_window.c.branch == branch)
            since = range(self._older, len(numbers))
            self.counted = [numbers[place] for place in since if branches[place] == branch]
        self._lowest = min(self.counted, default=0)
        self._are_mixed = sum(map(self._lowest.__le__, numbers)) > len(self.counted)
        self._of_build: dict[int, list[Run]] = {}
        self._on_branches: dict[tuple[int, int], list[int]] = {}

    def counted_in(self, table: FromClause) -> list[ColumnElement[bool]]:
        """Conditions that rows of a table belong to builds in the window.

        Numbers of builds grow with time, but for what was added late: an index begins at the lowest one.
        """
        conditions = [table.c.build >= self._lowest]
        if self._are_mixed:
            conditions.append(table.c.build.in_(select(self._in_window.c.id).where(*self._holds)))
        return conditions if self.counted else [false()]

    def before_in(self, table: Table) -> list[ColumnElement[bool]]:
        """Conditions that rows of a table, joined to BUILDS, belong to builds before the window."""
        if self._are_mixed or not self.counted:
            return [BUILDS.c.began < self.since]
        return [table.c.build < self._lowest]

    def counts(self) -> Counts:
        """Counts runs and builds in the window."""
        builds = func.count(RUNS.c.build.distinct())
        # One by one: SQLite counts distinct builds in the order of the index if it counts nothing else.
        queries = (
            select(func.count()).select_from(RUNS),
            select(builds).where(RUNS.c.watched_s > 0),
            select(builds).where(RUNS.c.test_set.is_not(None)),
        )
        holds = self.counted_in(RUNS)
        return Counts(*(self._connection.execute(query.where(*holds)).scalar_one() for query in queries))

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
            for number, its_branch in zip(self.in_order, self.branch_at, strict=True):
                self._on_branches.setdefault((self._repository[number], its_branch), []).append(number)
        return self._on_branches[repository, branch]

    def before_on_branch(self, repository: int, branch: int) -> list[int]:
        """The builds of a branch that began before the window, in their order."""
        all_builds = self.on_branch(repository, branch)
        return all_builds[: bisect_left(all_builds, self._older, key=self.place.__getitem__)]

    def by_repository(self, numbers: Collection[int]) -> Mapping[int, Collection[int]]:
        """The builds of each repository among these."""
        if len(self.repositories) == 1:
            return dict.fromkeys(self.repositories, numbers) if numbers else {}
        builds: dict[int, list[int]] = {}
        for number in numbers:
            builds.setdefault(self._repository[number], []).append(number)
        return builds


def joined_builds(
    build: ColumnElement[int], condition: ColumnElement[bool] | None = None
) -> ColumnElement[str]:
    """An aggregate: the builds of all rows for which the condition holds, for `numbers_in`.

    In one string: thousands of builds cost more as rows than all the rest.
    """
    text = cast(build, Text)
    return func.aggregate_strings(text if condition is None else case((condition, text)), " ")


def numbers_in(text: str | None) -> list[int]:
    """Returns the numbers of builds that `joined_builds` has put into a string."""
    return list(map(int, text.split())) if text else []
