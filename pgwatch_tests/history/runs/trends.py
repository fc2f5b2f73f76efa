"""Trends over runs: what came again in several builds, from the counts and sums that the store makes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, func, select, tuple_, type_coerce

from pgwatch_tests.history.runs.builds import Builds, Window, joined_builds, numbers_in
from pgwatch_tests.history.runs.flaky import flaky_tests
from pgwatch_tests.history.runs.recurrence import Recurrence, RecurrenceReader, equal
from pgwatch_tests.history.runs.sightings import Question, SightingsReader
from pgwatch_tests.history.runs.strings import AT_ONCE, named, portions, read_each, texts_of
from pgwatch_tests.history.runs.trend_model import (
    BlockerTrend,
    DeadlockTrend,
    LeakTrend,
    PairTrend,
    Trends,
)
from pgwatch_tests.history.tables import BUILDS, RUN_DEADLOCKS, RUN_LEAKS, RUN_PAIRS

_MOST_DEADLOCK_ROWS = 20_000  # the newest


def read_trends(connection: Connection, window: Window, most: int) -> Trends:
    """Returns the trends of a window, of each kind at most so many.

    What is of a named test counts even if it was there in one build only.
    """
    reader = _Reader(connection, window, most)
    pairs, more_pairs = reader.pairs()
    leaks, more_leaks = reader.leaks()
    counts = reader.builds.counts()
    return Trends(
        window.since,
        window.test,
        window.branch,
        builds=len(reader.builds.counted),
        **counts._asdict(),
        pairs=pairs,
        more_pairs=more_pairs,
        blockers=reader.blockers(),
        leaks=leaks,
        more_leaks=more_leaks,
        flaky=flaky_tests(connection, reader.builds, window.test, most),
        deadlocks=reader.deadlocks(),
    )


@dataclass(frozen=True, slots=True)
class _Blocker:
    """What is known of a test that blocks others."""

    test: int
    builds: int
    blocked_ms: int
    of_waiters: Sequence[Sequence[int]]
    """The builds in which it blocked each of them."""


class _Reader:
    """Reads trends, on one connection."""

    def __init__(self, connection: Connection, window: Window, most: int) -> None:
        self._connection = connection
        self._test = window.test
        self._most = most
        self.builds = Builds(connection, window)
        self._recurrences = RecurrenceReader(connection, self.builds, window.test)
        self._sightings = SightingsReader(connection, self.builds)

    def pairs(self) -> tuple[tuple[PairTrend, ...], int]:
        """The pairs of tests in each other's way, and how many more there are."""
        table = RUN_PAIRS.c
        names = (table.blocker, table.waiter)
        found, number = self._recurrences.most_frequent(names, names, table.blocked_s, self._most)
        seen = self._recurrences.read(names, found, table.blocked_s, table.waits, table.longest_s)
        asked = [(*one.names, one.largest, one.repository) for one in seen]
        longest = [rows[0] for rows in read_each(self._connection, self._longest, asked)]
        sightings = self._sightings.read(names, [_question(one, one.names[1]) for one in seen])
        texts = texts_of(self._connection, _numbers(seen).union(*longest))
        trends = [
            PairTrend(
                repository=texts[one.repository],
                blocker=texts[one.names[0]],
                waiter=texts[one.names[1]],
                builds=one.builds,
                blocked_s=one.sums[0] / 1000,
                waits=one.sums[1],
                longest_s=one.largest / 1000,
                object=texts[object_],
                cause=texts[cause],
                sightings=when,
            )
            for one, (object_, cause), when in zip(seen, longest, sightings, strict=True)
        ]
        trends.sort(key=lambda one: (-one.builds, -one.blocked_s, one.blocker, one.waiter))
        return tuple(trends[: self._most]), max(0, number - self._most)

    def leaks(self) -> tuple[tuple[LeakTrend, ...], int]:
        """What tests left, and how many more there is of it."""
        table = RUN_LEAKS.c
        names = (table.test, table.kind, table.name)
        found, number = self._recurrences.most_frequent(names, names[:1], table.rows, self._most)
        seen = self._recurrences.read(names, found, table.rows)
        sightings = self._sightings.read(names, [_question(one, one.names[0]) for one in seen])
        texts = texts_of(self._connection, _numbers(seen))
        trends = [
            LeakTrend(
                repository=texts[one.repository],
                test=texts[one.names[0]],
                kind=texts[one.names[1]],
                name=texts[one.names[2]],
                builds=one.builds,
                rows=one.sums[0],
                sightings=when,
            )
            for one, when in zip(seen, sightings, strict=True)
        ]
        trends.sort(key=lambda one: (-one.builds, -one.rows, one.test, one.kind, one.name))
        return tuple(trends[: self._most]), max(0, number - self._most)

    def blockers(self) -> tuple[BlockerTrend, ...]:
        """The tests that block others."""
        table = RUN_PAIRS.c
        at_least = self._recurrences.at_least
        found: list[_Blocker] = []
        # Nothing is in more builds than it has rows: the rest needn't be looked at.
        ordered = self._recurrences.most_rows((table.blocker,))
        for some in portions(ordered, self._most):
            if len(found) == self._most and some[0][1] < found[-1].builds:
                break
            found += self._blockers([number for number, _ in some])
            found = [one for one in found if one.builds >= at_least]
            found.sort(key=lambda one: (-one.builds, -one.blocked_ms, one.test))
            del found[self._most :]
        rows: list[tuple[int, int, int, int]] = []
        for one in found:
            waiters: Counter[int] = Counter()
            builds: defaultdict[int, set[int]] = defaultdict(set)
            for numbers in one.of_waiters:
                for repository, in_repository in self.builds.by_repository(numbers).items():
                    waiters[repository] += 1
                    builds[repository].update(in_repository)
            rows += [(key, one.test, waiters[key], len(in_it)) for key, in_it in sorted(builds.items())]
        texts = texts_of(self._connection, {number for row in rows for number in row[:2]})
        trends = [BlockerTrend(texts[row[0]], texts[row[1]], *row[2:]) for row in rows if row[3] >= at_least]
        return tuple(sorted(trends, key=lambda one: (-one.builds, -one.waiters, one.blocker))[: self._most])

    def _blockers(self, tests: Sequence[int]) -> list[_Blocker]:
        """What is known of these tests as blockers."""
        table = RUN_PAIRS.c
        blocked_ms = func.sum(type_coerce(table.blocked_s, BigInteger))
        of_waiters: defaultdict[int, list[list[int]]] = defaultdict(list)
        blocked: Counter[int] = Counter()
        # All at once: one by one, PostgreSQL 18 skips from waiter to waiter, or reads the window each time.
        for some in portions(tests, AT_ONCE):
            query = (
                select(table.blocker, joined_builds(table.build), blocked_ms)
                .where(table.blocker.in_(some), *self.builds.counted_in(RUN_PAIRS))
                .group_by(table.blocker, table.waiter)
            )
            for test, text, milliseconds in self._connection.execute(query).all():
                of_waiters[test].append(numbers_in(text))
                blocked[test] += int(milliseconds)
        return [
            _Blocker(test, len(set(chain.from_iterable(numbers))), blocked[test], numbers)
            for test, numbers in of_waiters.items()
        ]

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
            (repository,) = self.builds.by_repository([rows[0].build])
            grouped[repository, frozenset(row.who for row in rows)] += rows
        builds = {key: {row.build for row in rows} for key, rows in grouped.items()}
        found = sorted(grouped, key=lambda key: (-len(builds[key]), key[0], sorted(key[1])))[: self._most]
        last = {key: max(builds[key], key=self.builds.place.__getitem__) for key in found}
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

    def _longest(
        self,
        blocker: ColumnElement[int],
        waiter: ColumnElement[int],
        longest_ms: ColumnElement[int],
        repository: ColumnElement[int],
    ) -> Select[int, int]:
        """A query for what the longest wait of a pair was for, and its cause."""
        table = RUN_PAIRS.c
        return (
            select(table.object, table.cause)
            .join(BUILDS, BUILDS.c.id == table.build)
            .where(
                *equal((table.blocker, table.waiter), (blocker, waiter)),
                type_coerce(table.longest_s, BigInteger) == longest_ms,
                BUILDS.c.repository == repository,
                *self.builds.counted_in(RUN_PAIRS),
            )
            .order_by(table.build, table.blocked_s, table.waits, table.object, table.cause)
            .limit(1)
        )

    def _began(self, builds: Iterable[int]) -> dict[int, datetime]:
        query = select(BUILDS.c.id, BUILDS.c.began).where(BUILDS.c.id.in_(set(builds)))
        return {row.id: row.began for row in self._connection.execute(query)}


def _question(one: Recurrence, test: int) -> Question:
    return Question(one.repository, one.branches, test, one.names)


def _numbers(seen: Iterable[Recurrence]) -> set[int]:
    """The numbers of their strings."""
    return {number for one in seen for number in (one.repository, *one.names)}
