"""What recurs over the builds of a window: counted, summed and placed by the store, not row by row here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from pgwatch_tests.history.runs.builds import Builds, joined_builds, numbers_in
from pgwatch_tests.history.runs.strings import named, read_each
from pgwatch_tests.history.tables import BUILDS

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
        """Returns what was in several builds, in most builds first, and how many there are altogether.

        Of those in as many builds, what weighs most comes first, where that tells who is among them.
        """
        table = table_of(names)
        builds = func.count(table.c.build.distinct())
        # SQLite counts distinct builds in the order of an index if nothing else is summed up meanwhile.
        counted = select(*names).where(*self._holds(names, of_tests)).group_by(*names)
        several = counted.add_columns(builds, func.count().over()).having(builds >= self.at_least)
        rows = self._connection.execute(several.order_by(builds.desc()).limit(most + 1)).all()
        number = rows[0][-1] if rows else 0
        least = rows[most][-2] if len(rows) > most else 0
        found = [tuple(row[:-2]) for row in rows if row[-2] > least][:most]
        if len(found) < most and least:
            tied = counted.having(builds == least).subquery()
            same = [tied.c[column.name] == column for column in names]
            heaviest = (
                select(*names)
                .join_from(tied, table, and_(*same))
                .where(*self._builds.counted_in(table))
                .group_by(*names)
                .order_by(func.sum(weight).desc(), *names)
                .limit(most - len(found))
            )
            found += map(tuple, self._connection.execute(heaviest))
        return found, number

    def most_rows(self, names: Names) -> Sequence[tuple[int, int]]:
        """Returns the names of one column, with the most rows first, and the number of these.

        A name is in as many builds at most.
        """
        query = select(*names, func.count()).where(*self._holds(names, names)).group_by(*names)
        ordered = query.having(func.count() >= self.at_least).order_by(func.count().desc(), *names)
        return [(row[0], row[1]) for row in self._connection.execute(ordered).all()]

    def read(
        self, names: Names, found: Sequence[tuple[int, ...]], *measures: Column[Any]
    ) -> list[Recurrence]:
        """Returns what is known of each, by repository; those in which it was in too few builds are left out.

        Durations are milliseconds.
        """
        recurrences = []
        sums = read_each(self._connection, partial(self._sums, names, measures), found)
        for key, rows in zip(found, sums, strict=True):
            for repository, builds, largest, *totals in sorted(rows, key=itemgetter(0)):
                branches = self._branches(numbers_in(builds))
                recurrences.append(Recurrence(key, repository, branches, totals, largest))
        return [one for one in recurrences if one.builds >= self.at_least]

    def _branches(self, builds: Iterable[int]) -> list[OnBranch]:
        places = sorted(set(map(self._builds.place.__getitem__, builds)))
        branches = [self._builds.branch_at[place] for place in places]
        first = dict(zip(reversed(branches), reversed(places), strict=True))
        last = dict(zip(branches, places, strict=True))
        return [OnBranch(one, number, first[one], last[one]) for one, number in Counter(branches).items()]

    def _holds(self, names: Names, of_tests: Names) -> list[ColumnElement[bool]]:
        """Conditions that a row is in the window, and one of its tests has the name that is asked for."""
        conditions = self._builds.counted_in(table_of(names))
        if self._test:
            conditions.append(or_(*(named(column, self._test) for column in of_tests)))
        return conditions

    def _sums(
        self, names: Names, measures: Sequence[Column[Any]], *numbers: ColumnElement[int]
    ) -> Select[Any]:
        """By repository: the builds, in one string; the largest last measure; sums."""
        table = table_of(names)
        largest = [func.max(type_coerce(one, BigInteger)).label(one.name) for one in measures]
        # What several recorders have seen of one server counts once.
        seen = (
            select(table.c.build, *largest)
            .where(*equal(names, numbers), *self._builds.counted_in(table))
            .group_by(table.c.build, table.c.seen_by)
            .subquery()
        )
        columns = [seen.c[one.name] for one in measures]
        totals = func.max(columns[-1]), *(cast(func.sum(one), BigInteger) for one in columns)
        labelled = (one.label(f"total_{place}") for place, one in enumerate(totals))
        several: list[ColumnElement[Any]] = [joined_builds(seen.c.build).label("builds"), *labelled]
        if len(self._builds.repositories) == 1:  # from an index alone then, without a look at builds
            (repository,) = self._builds.repositories
            return select(literal(repository, BigInteger).label("repository"), *several)
        query = select(BUILDS.c.repository, *several).join_from(seen, BUILDS, BUILDS.c.id == seen.c.build)
        return query.group_by(BUILDS.c.repository)


def table_of(names: Names) -> Table:
    """Returns the table of the columns."""
    table = names[0].table
    assert isinstance(table, Table)
    return table


def equal(names: Names, numbers: Sequence[ColumnElement[int]]) -> list[ColumnElement[bool]]:
    """Returns the conditions that the columns have these numbers."""
    return [column == number for column, number in zip(names, numbers, strict=True)]
