"""Trends over runs: queries for what came again in several builds.

What comes again is counted in indexes alone; the most frequent of it is then looked at, row by row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Table,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
)

from pgwatch_tests.history.runs.builds import Builds, Window
from pgwatch_tests.history.runs.flaky import flaky_tests
from pgwatch_tests.history.runs.sightings import Question, SightingsReader
from pgwatch_tests.history.runs.strings import named, texts_of
from pgwatch_tests.history.runs.trend_model import (
    BlockerTrend,
    DeadlockTrend,
    LeakTrend,
    PairTrend,
    Trends,
)
from pgwatch_tests.history.tables import BUILDS, RUN_DEADLOCKS, RUN_LEAKS, RUN_PAIRS

_Names = Sequence[Column[int]]
"""The columns of a table that name something: a blocker and a waiter."""
_Rows = list[tuple[int, ...]]
_MOST_DEADLOCK_ROWS = 20_000  # the newest


def read_trends(connection: Connection, window: Window, most: int) -> Trends:
    """Returns the trends of a window, of each kind at most so many.

    What is of a named test counts even if it was there in one build only.
    """
    reader = _Reader(connection, window, most)
    pairs, more_pairs = reader.pairs()
    leaks, more_leaks = reader.leaks()
    runs = reader.builds.runs.values()
    return Trends(
        window.since,
        window.test,
        window.branch,
        builds=len(reader.builds.counted),
        runs=len(runs),
        watched_builds=len({run.build for run in runs if run.watched}),
        told_builds=len({run.build for run in runs if run.test_set is not None}),
        pairs=pairs,
        more_pairs=more_pairs,
        blockers=reader.blockers(),
        leaks=leaks,
        more_leaks=more_leaks,
        flaky=flaky_tests(connection, reader.builds, window.test, most),
        deadlocks=reader.deadlocks(),
    )


class _Reader:
    """Reads trends, on one connection."""

    def __init__(self, connection: Connection, window: Window, most: int) -> None:
        self._connection = connection
        self._test = window.test
        self._most = most
        self._at_least = 1 if window.test else 2
        self.builds = Builds(connection, window)
        self._sightings = SightingsReader(connection, self.builds)

    def pairs(self) -> tuple[tuple[PairTrend, ...], int]:
        """The pairs of tests in each other's way, and how many more there are."""
        table = RUN_PAIRS.c
        names = (table.blocker, table.waiter)
        found, number = self._often(names, names, table.blocked_s)
        measures = (table.blocked_s, table.waits, table.longest_s, table.object, table.cause)
        seen = [
            (repository, pair, some, max(some, key=lambda row: int(row[4])))
            for pair in found
            for repository, some in self._rows(names, pair, *measures).items()
        ]
        sightings = self._sightings.read(
            self._question(names, pair, some, pair[1]) for _, pair, some, _ in seen
        )
        texts = texts_of(
            self._connection,
            {one for repository, pair, _, longest in seen for one in (repository, *pair, *longest[5:])},
        )
        trends = [
            PairTrend(
                repository=texts[repository],
                blocker=texts[pair[0]],
                waiter=texts[pair[1]],
                builds=len({row[0] for row in some}),
                blocked_s=self._sum(some, 2) / 1000,
                waits=self._sum(some, 3),
                longest_s=longest[4] / 1000,
                object=texts[longest[5]],
                cause=texts[longest[6]],
                sightings=one,
            )
            for (repository, pair, some, longest), one in zip(seen, sightings, strict=True)
        ]
        trends.sort(key=lambda one: (-one.builds, -one.blocked_s, one.blocker, one.waiter))
        return tuple(trends[: self._most]), max(0, number - self._most)

    def leaks(self) -> tuple[tuple[LeakTrend, ...], int]:
        """What tests left, and how many more there is of it."""
        table = RUN_LEAKS.c
        names = (table.test, table.kind, table.name)
        found, number = self._often(names, names[:1], table.rows)
        seen = [
            (repository, leak, some)
            for leak in found
            for repository, some in self._rows(names, leak, table.rows).items()
        ]
        sightings = self._sightings.read(self._question(names, leak, some, leak[0]) for _, leak, some in seen)
        texts = texts_of(
            self._connection, {one for repository, leak, _ in seen for one in (repository, *leak)}
        )
        trends = [
            LeakTrend(
                repository=texts[repository],
                test=texts[leak[0]],
                kind=texts[leak[1]],
                name=texts[leak[2]],
                builds=len({row[0] for row in some}),
                rows=self._sum(some, 2),
                sightings=one,
            )
            for (repository, leak, some), one in zip(seen, sightings, strict=True)
        ]
        trends.sort(key=lambda one: (-one.builds, -one.rows, one.test, one.kind, one.name))
        return tuple(trends[: self._most]), max(0, number - self._most)

    def blockers(self) -> tuple[BlockerTrend, ...]:
        """The tests that block others."""
        table = RUN_PAIRS.c
        found, _ = self._often((table.blocker,), (table.blocker,), table.blocked_s)
        builds, waiters = func.count(table.build.distinct()), func.count(table.waiter.distinct())
        query = (
            select(BUILDS.c.repository, table.blocker, waiters, builds)
            .join(BUILDS, BUILDS.c.id == table.build)
            .where(table.blocker.in_([blocker for (blocker,) in found]), *self.builds.counted_in(RUN_PAIRS))
            .group_by(BUILDS.c.repository, table.blocker)
            .having(builds >= self._at_least)
        )
        rows = self._connection.execute(query).all() if found else []
        texts = texts_of(self._connection, {number for row in rows for number in row[:2]})
        trends = [BlockerTrend(texts[row[0]], texts[row[1]], row[2], row[3]) for row in rows]
        return tuple(sorted(trends, key=lambda one: (-one.builds, -one.waiters, one.blocker))[: self._most])

    def deadlocks(self) -> tuple[DeadlockTrend, ...]:
        """The tests that were in deadlocks with each other; once is enough."""
        table = RUN_DEADLOCKS.c
        query = (
            select(table.run, table.deadlock, table.build, table.who, table.object)
            .where(*self.builds.counted_in(RUN_DEADLOCKS))
            .order_by(table.build.desc(), table.run, table.deadlock, table.member)
            .limit(_MOST_DEADLOCK_ROWS)
        )
        if self._test:
            some = select(table.run, table.deadlock).where(named(table.who, self._test))
            query = query.where(tuple_(table.run, table.deadlock).in_(some))
        deadlocks: defaultdict[tuple[int, int], list[Any]] = defaultdict(list)
        for row in self._connection.execute(query):
            deadlocks[row.run, row.deadlock].append(row)
        grouped: defaultdict[tuple[int, frozenset[int]], list[Any]] = defaultdict(list)
        for rows in deadlocks.values():
            repository = self.builds.known[rows[0].build].repository
            grouped[repository, frozenset(row.who for row in rows)] += rows
        builds = {key: {row.build for row in rows} for key, rows in grouped.items()}
        found = sorted(grouped, key=lambda key: (-len(builds[key]), key[0], sorted(key[1])))[: self._most]
        last = {key: max(builds[key], key=lambda one: self.builds.known[one].place) for key in found}
        began = self._began(last.values())
        numbers = {
            number for key in found for row in grouped[key] for number in (key[0], row.who, row.object)
        }
        texts = texts_of(self._connection, numbers)
        return tuple(
            DeadlockTrend(
                repository=texts[key[0]],
                members=tuple(sorted(texts[number] for number in key[1])),
                builds=len(builds[key]),
                objects=tuple(sorted({texts[row.object] for row in grouped[key]})),
                last_began=began[last[key]],
            )
            for key in found
        )

    def _often(
        self, names: _Names, of_tests: _Names, weight: Column[Any]
    ) -> tuple[list[tuple[int, ...]], int]:
        """What was in several builds, in most builds first, and how many there are altogether."""
        table = _table(names)
        builds = func.count(table.c.build.distinct())
        query = (
            select(*names, func.count().over())
            .where(*self.builds.counted_in(table))
            .group_by(*names)
            .having(builds >= self._at_least)
            .order_by(builds.desc(), func.sum(weight).desc(), *names)
            .limit(self._most)
        )
        if self._test:
            query = query.where(or_(*(named(column, self._test) for column in of_tests)))
        rows = self._connection.execute(query).all()
        return [tuple(row[:-1]) for row in rows], rows[0][-1] if rows else 0

    def _rows(self, names: _Names, numbers: Sequence[int], *measures: Column[Any]) -> Mapping[int, _Rows]:
        """What the runs in the window add to something: build, run, measures; by repository.

        Repositories in which it was in too few builds are left out. Durations are milliseconds.
        """
        table = _table(names)
        query = select(table.c.build, table.c.run, *(type_coerce(one, BigInteger) for one in measures))
        rows: defaultdict[int, _Rows] = defaultdict(list)
        for row in self._connection.execute(
            query.where(*_equal(names, numbers), *self.builds.counted_in(table))
        ).all():
            rows[self.builds.known[row[0]].repository].append(row)
        return {
            repository: some
            for repository, some in rows.items()
            if len({row[0] for row in some}) >= self._at_least
        }

    def _sum(self, rows: _Rows, place: int) -> int:
        """The sum of a measure. Recorders of shards that share a server all see the same: it counts once."""
        largest: dict[tuple[int, int, int], int] = {}
        for row in rows:
            run = self.builds.runs[row[1]]
            key = row[0], run.attempt, run.servers
            if row[place] > largest.get(key, -1):
                largest[key] = row[place]
        return sum(largest.values())

    def _began(self, builds: Iterable[int]) -> dict[int, datetime]:
        query = select(BUILDS.c.id, BUILDS.c.began).where(BUILDS.c.id.in_(set(builds)))
        return {row.id: row.began for row in self._connection.execute(query)}

    def _question(self, names: _Names, numbers: Sequence[int], rows: _Rows, test: int) -> Question:
        table = _table(names)
        older = select(table.c.build).join(BUILDS, BUILDS.c.id == table.c.build)
        return Question({row[0] for row in rows}, test, older.where(*_equal(names, numbers)))


def _table(names: _Names) -> Table:
    table = names[0].table
    assert isinstance(table, Table)
    return table


def _equal(names: _Names, numbers: Sequence[int]) -> list[ColumnElement[bool]]:
    return [column == number for column, number in zip(names, numbers, strict=True)]
