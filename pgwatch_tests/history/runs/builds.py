"""Builds in the order of their beginnings, and those of them that a trend is about.

They are read once, as numbers: what was seen in thousands of builds is then compared without a query each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, false, select

from pgwatch_tests.history.runs.model import OUTCOMES
from pgwatch_tests.history.runs.strings import digest
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
    """One shard in one attempt of a build that counts."""

    build: int
    attempt: int
    servers: int
    """The same for shards that share their servers."""
    watched: bool
    test_set: int | None


_RUN = (RUNS.c.id, RUNS.c.build, RUNS.c.attempt, RUNS.c.servers, RUNS.c.watched_s > 0, RUNS.c.test_set)


class Builds:
    """All builds that are kept, and the runs of those in a window."""

    def __init__(self, connection: Connection, window: Window) -> None:
        self._connection = connection
        nameless = connection.execute(select(STRINGS.c.id).where(STRINGS.c.digest == digest(""))).scalar()
        self.nameless = nameless
        """The number of the empty string: of the test, say, that nobody knows."""
        query = select(BUILDS.c.id, BUILDS.c.repository, BUILDS.c.branch, BUILDS.c.commit)
        self.known = {
            number: Build(place, repository, branch, -number if commit == nameless else commit)
            for place, (number, repository, branch, commit) in enumerate(
                connection.execute(query.order_by(BUILDS.c.began, BUILDS.c.id)).all()
            )
        }
        """All builds, in their order."""
        self._holds = [BUILDS.c.began >= window.since]
        if window.branch:
            branch = select(STRINGS.c.id).where(STRINGS.c.digest == digest(window.branch)).scalar_subquery()
            self._holds.append(BUILDS.c.branch == branch)
        self.counted = frozenset(connection.execute(select(BUILDS.c.id).where(*self._holds)).scalars())
        """The numbers of the builds in the window."""
        self._lowest = min(self.counted, default=0)
        self._are_mixed = any(number >= self._lowest and number not in self.counted for number in self.known)
        runs = connection.execute(select(*_RUN).where(*self.counted_in(RUNS))).all()
        self.runs = {number: Run(*values) for number, *values in runs}
        """The runs of these builds."""
        self._of_build: dict[int, list[Run]] = {}
        for run in self.runs.values():
            self._of_build.setdefault(run.build, []).append(run)
        self.since = window.since
        self._on_branches: dict[tuple[int, int], list[int]] = {}

    def counted_in(self, table: Table) -> list[ColumnElement[bool]]:
        """Conditions that rows of a table belong to builds in the window.

        Numbers of builds grow with time, but for what was added late: an index begins at the lowest one.
        """
        conditions = [table.c.build >= self._lowest]
        if self._are_mixed:
            conditions.append(table.c.build.in_(select(BUILDS.c.id).where(*self._holds)))
        return conditions if self.counted else [false()]

    def watched(self, builds: Collection[int]) -> dict[int, list[Run]]:
        """The watched runs of these builds; builds without one are left out."""
        runs: dict[int, list[Run]] = {}
        others = [number for number in builds if number not in self.counted]
        if others:
            query = select(*_RUN).where(RUNS.c.build.in_(others))
            for _, *values in self._connection.execute(query).all():
                self._of_build.setdefault(values[0], []).append(Run(*values))
        for number in builds:
            if some := [run for run in self._of_build.get(number, ()) if run.watched]:
                runs[number] = some
        return runs

    def on_branch(self, repository: int, branch: int) -> list[int]:
        """All builds of a branch, in their order."""
        if not self._on_branches:
            for number, one in self.known.items():
                self._on_branches.setdefault((one.repository, one.branch), []).append(number)
        return self._on_branches[repository, branch]
