"""What recurs over the builds of a window: counted, summed and placed by the store, not row by row here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Table,
    Text,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
    type_coerce,
)

from pgwatch_tests.history.runs.builds import Builds
from pgwatch_tests.history.runs.strings import AT_ONCE, named, portions
from pgwatch_tests.history.tables import BUILDS, RUNS

Names = Sequence[Column[int]]
"""The columns of a table that name something: a blocker and a waiter."""


@dataclass(frozen=True, slots=True)
class OnBranch:
    """The builds of one branch in which something was seen; the first and the last by place."""

    branch: int
    builds: int
    first: int
    last: int


@dataclass(slots=True)
class Recurrence:
    """Something that was seen in builds of one repository."""

    names: tuple[int, ...]
    repository: int
    branches: Sequence[OnBranch]
    sums: Sequence[int]
    """Of each measure. Recorders of shards that share a server all see the same: it counts once."""
    largest: int
    """Of the last measure, in one run."""

    @property
    def builds(self) -> int:
        """In how many builds it was seen."""
        return sum(one.builds for one in self.branches)


class RecurrenceReader:
    """Reads what was seen in several builds of a window, on one connection."""

    def __init__(self, connection: Connection, builds: Builds, test: str) -> None:
        self._connection = connection
        self._builds = builds
        self._test = test
        self.at_least = 1 if test else 2
        """In so many builds; what is of a named test counts from the first one."""

    def most_frequent(
        self, names: Names, of_tests: Names, weight: Column[Any], most: int
    ) -> tuple[list[tuple[int, ...]], int]:
        """Returns what was in several builds, in most builds first, and how many there are altogether."""
        table = table_of(names)
        builds = func.count(table.c.build.distinct())
        query = (
            select(*names, func.count().over())
            .where(*self._builds.counted_in(table))
            .group_by(*names)
            .having(builds >= self.at_least)
            .order_by(builds.desc(), func.sum(weight).desc(), *names)
            .limit(most)
        )
        if self._test:
            query = query.where(or_(*(named(column, self._test) for column in of_tests)))
        rows = self._connection.execute(query).all()
        return [tuple(row[:-1]) for row in rows], rows[0][-1] if rows else 0

    def read(
        self, names: Names, found: Sequence[tuple[int, ...]], *measures: Column[Any]
    ) -> list[Recurrence]:
        """Returns what is known of each, by repository; those in which it was in too few builds are left out.

        Durations are milliseconds.
        """
        recurrences: dict[tuple[tuple[int, ...], int], Recurrence] = {}
        for some in portions(found, AT_ONCE // (2 * len(names))):
            for row in self._connection.execute(self._sums(names, some, measures)).all():
                key, (repository, builds, largest, *sums) = _split(row, names)
                branches = self._branches(set(map(int, builds.split())))
                recurrences[key, repository] = Recurrence(key, repository, branches, sums, largest)
            for row in self._connection.execute(self._repeated(names, some, measures)).all():
                key, (repository, *repeated) = _split(row, names)
                one = recurrences[key, repository]
                one.sums = [known - twice for known, twice in zip(one.sums, repeated, strict=True)]
        places = {names: place for place, names in enumerate(found)}
        ordered = sorted(recurrences.values(), key=lambda one: (places[one.names], one.repository))
        return [one for one in ordered if one.builds >= self.at_least]

    def _branches(self, builds: Collection[int]) -> list[OnBranch]:
        places: defaultdict[int, list[int]] = defaultdict(list)
        for number in builds:
            build = self._builds.known[number]
            places[build.branch].append(build.place)
        return [OnBranch(branch, len(some), min(some), max(some)) for branch, some in places.items()]

    def _chosen(self, names: Names, found: Sequence[tuple[int, ...]]) -> list[ColumnElement[bool]]:
        # SQLite finds single columns in an index, but no tuples.
        columns = [column.in_({numbers[place] for numbers in found}) for place, column in enumerate(names)]
        return [*columns, tuple_(*names).in_(found), *self._builds.counted_in(table_of(names))]

    def _sums(
        self, names: Names, found: Sequence[tuple[int, ...]], measures: Sequence[Column[Any]]
    ) -> Executable:
        """By names and repository: the builds, in one string; the largest last measure; sums."""
        table = table_of(names)
        # One row for each: thousands of builds cost more as rows than all the rest.
        builds = func.aggregate_strings(cast(table.c.build, Text), " ")
        numbers = [type_coerce(one, BigInteger) for one in measures]
        totals = func.max(numbers[-1]), *(_whole(func.sum(one)) for one in numbers)
        chosen = self._chosen(names, found)
        if len(self._builds.repositories) == 1:  # in the order of the index then, without a look at builds
            (repository,) = self._builds.repositories
            of_one = literal(repository, BigInteger)
            return select(*names, of_one, builds, *totals).where(*chosen).group_by(*names)
        keys = *names, BUILDS.c.repository
        query = select(*keys, builds, *totals).join_from(table, BUILDS, BUILDS.c.id == table.c.build)
        return query.where(*chosen).group_by(*keys)

    def _repeated(
        self, names: Names, found: Sequence[tuple[int, ...]], measures: Sequence[Column[Any]]
    ) -> Executable:
        """By names and repository: what recorders of shards that share a server have seen once more."""
        table = table_of(names)
        several = select(*names, table.c.build).where(*self._chosen(names, found))
        of_builds = several.group_by(*names, table.c.build).having(func.count() > 1).subquery()
        keys = [of_builds.c[column.name] for column in (*names, table.c.build)]
        same = [key == table.c[key.name] for key in keys]
        excess = [
            (func.sum(number) - func.max(number)).label(number.name)
            for number in (type_coerce(one, BigInteger).label(one.name) for one in measures)
        ]
        of_servers = (
            select(*keys, *excess)
            .join_from(of_builds, table, and_(*same))
            .join(RUNS, RUNS.c.id == table.c.run)
            .group_by(*keys, RUNS.c.attempt, RUNS.c.servers)
            .having(func.count() > 1)
            .subquery()
        )
        keys = [*(of_servers.c[column.name] for column in names), BUILDS.c.repository]
        sums = [_whole(func.sum(of_servers.c[one.name])) for one in measures]
        together = select(*keys, *sums).join_from(of_servers, BUILDS, BUILDS.c.id == of_servers.c.build)
        return together.group_by(*keys)


def table_of(names: Names) -> Table:
    """Returns the table of the columns."""
    table = names[0].table
    assert isinstance(table, Table)
    return table


def equal(names: Names, numbers: Sequence[int]) -> list[ColumnElement[bool]]:
    """Returns the conditions that the columns have these numbers."""
    return [column == number for column, number in zip(names, numbers, strict=True)]


def _whole(total: ColumnElement[Any]) -> ColumnElement[int]:
    """A sum as an integer: PostgreSQL's is a numeric."""
    return cast(total, BigInteger)


def _split(row: Sequence[Any], names: Names) -> tuple[tuple[int, ...], Sequence[Any]]:
    return tuple(row[: len(names)]), row[len(names) :]
