"""Runs one statement for many tables, and finds out which of them it failed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import psycopg
from psycopg import errors

from pgwatch_tests.leaks.discover import Table

# What one statement may open and read. A lock a relation and index is held until it ends; and the
# smaller it is, the sooner it can be cancelled and the more often progress is shown.
_MOST_RELATIONS = 100
_MOST_COLUMNS = 1000
_MOST_PAGES = 32768  # 256 MB


class Positioned(Protocol):
    """A row that says which of a statement's tables it is about."""

    @property
    def position(self) -> int: ...


R = TypeVar("R", bound=Positioned)


@dataclass(frozen=True, slots=True)
class _Part:
    tables: tuple[Table, ...]
    again: bool = False
    """Whether all of them had their chance before, and were locked."""


class Chunks(Generic[R]):
    """Runs `execute` for a few tables at a time, each time with as many as one statement may read.

    `execute` raises psycopg's errors for a statement that failed and our own for anything that ends
    the whole run. `locked` tells which tables (by oid) are locked just now.
    """

    def __init__(
        self, execute: Callable[[Sequence[Table]], Iterable[R]], locked: Callable[[], frozenset[int]]
    ) -> None:
        self._execute = execute
        self._locked = locked
        self._pending: deque[_Part] = deque()

    def run(self, tables: Iterable[Table]) -> Iterator[tuple[Table, R | psycopg.Error]]:
        """Each table with its row, or with the error that it ran into alone; in no particular order."""
        self._pending.extend(map(_Part, split(tables)))
        while self._pending:
            part = self._pending.popleft()
            try:
                rows = self._execute(part.tables)
            except psycopg.Error as error:
                yield from ((table, error) for table in self._given_up(part, error))
            else:
                yield from ((part.tables[row.position], row) for row in rows)

    def _given_up(self, part: _Part, error: psycopg.Error) -> Sequence[Table]:
        """The tables of a failed part that there is no hope for; the others are queued again."""
        if isinstance(error, errors.LockNotAvailable):
            return self._after_lock_timeout(part)
        if len(part.tables) == 1:
            return part.tables
        if isinstance(error, errors.QueryCanceled):
            # Halving would cost the whole timeout at each step.
            self._retry(*((table,) for table in part.tables))
        else:
            self._halve(part.tables)
        return ()

    def _after_lock_timeout(self, part: _Part) -> Sequence[Table]:
        locked = self._locked()
        stuck = tuple(table for table in part.tables if table.oid in locked)
        free = tuple(table for table in part.tables if table.oid not in locked)
        if part.again and stuck:
            if free:
                self._retry(free)
            return stuck
        if stuck:
            # Asked again at the very end: most locks don't last.
            self._pending.append(_Part(stuck, again=True))
            if free:
                self._retry(free)
            return ()
        # The lock is gone, or on something that can't be told to belong to a table.
        if len(free) > 1:
            self._halve(free)
        elif part.again:
            return free
        else:
            self._pending.append(_Part(free, again=True))
        return ()

    def _halve(self, tables: tuple[Table, ...]) -> None:
        middle = len(tables) // 2
        self._retry(tables[:middle], tables[middle:])

    def _retry(self, *parts: tuple[Table, ...]) -> None:
        self._pending.extendleft(map(_Part, reversed(parts)))


def split(tables: Iterable[Table]) -> Iterator[tuple[Table, ...]]:
    """The tables in their order, as many together as one statement may read, at least one."""
    part: list[Table] = []
    relations = columns = pages = 0
    for table in tables:
        relations += table.relations
        columns += len(table.columns)
        pages += table.pages
        if part and (relations > _MOST_RELATIONS or columns > _MOST_COLUMNS or pages > _MOST_PAGES):
            yield tuple(part)
            part = []
            relations, columns, pages = table.relations, len(table.columns), table.pages
        part.append(table)
    if part:
        yield tuple(part)
