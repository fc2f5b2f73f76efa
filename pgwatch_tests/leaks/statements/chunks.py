"""Chunks of tables: each is read by one statement, and halved until it is known which table failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import psycopg
from psycopg import errors

from pgwatch_tests.leaks.catalog.tables import Table

# Limits of one statement. It holds a lock per relation and index until it ends; and the
# smaller it is, the sooner it can be cancelled and the more often progress is shown.
MOST_RELATIONS = 100
_MOST_LOCKS = 400
_MOST_COLUMNS = 1000
_MOST_PAGES = 32768  # 256 MB
_MOST = (MOST_RELATIONS, _MOST_LOCKS, _MOST_COLUMNS, _MOST_PAGES)


class Positioned(Protocol):
    """A row that says which of a statement's tables it is about."""

    @property
    def position(self) -> int: ...


R = TypeVar("R", bound=Positioned)


@dataclass(frozen=True, slots=True)
class _Part:
    tables: tuple[Table, ...]
    again: bool = False
    """Whether all of these tables were tried before, and were locked."""


class Chunks(Generic[R]):
    """Runs `execute` for a few tables at a time, each time with as many as one statement may read.

    `execute` raises psycopg's errors for a statement that failed and our own for anything that ends
    the whole run. `locked` tells which tables (by oid) are locked just now; `most_tables` how many at a time
    may be read.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[Table]], Iterable[R]],
        locked: Callable[[], frozenset[int]],
        most_tables: int = MOST_RELATIONS,
    ) -> None:
        self._most_tables = most_tables
        self._execute = execute
        self._locked = locked
        self._pending: deque[_Part] = deque()
        self._put_off: list[Table] = []
        """Locked when they were asked for; asked for again at the very end, since most locks don't last."""

    @property
    def is_last(self) -> bool:
        """Whether nothing is left for later than what is executed now."""
        return not (self._pending or self._put_off)

    def run(self, tables: Iterable[Table]) -> Iterator[tuple[Table, R | psycopg.Error]]:
        """Yields each table with its row, or with the error that it alone raised; in no particular order."""
        self._pending.extend(map(_Part, self._split(tables)))
        while part := self._next():
            try:
                rows = self._execute(part.tables)
            except psycopg.Error as error:
                yield from ((table, error) for table in self._given_up(part, error))
            else:
                yield from ((part.tables[row.position], row) for row in rows)

    def _split(self, tables: Iterable[Table]) -> Iterator[tuple[Table, ...]]:
        for part in split(tables):
            for start in range(0, len(part), self._most_tables):
                yield part[start : start + self._most_tables]

    def _next(self) -> _Part | None:
        if not self._pending:
            self._pending.extend(_Part(tables, again=True) for tables in self._split(self._put_off))
            self._put_off.clear()
        return self._pending.popleft() if self._pending else None

    def _given_up(self, part: _Part, error: psycopg.Error) -> Sequence[Table]:
        """The tables of a failed part that there is no hope for; the others are queued again."""
        if isinstance(error, errors.LockNotAvailable):
            return self._after_lock_timeout(part)
        if len(part.tables) == 1:
            return part.tables
        if isinstance(error, errors.QueryCanceled):
            # Halving would cost the whole timeout at each step.
            self._retry(*((table,) for table in part.tables), again=part.again)
        else:
            self._halve(part.tables, part.again)
        return ()

    def _after_lock_timeout(self, part: _Part) -> Sequence[Table]:
        locked = self._locked()
        stuck = tuple(table for table in part.tables if table.oid in locked)
        free = tuple(table for table in part.tables if table.oid not in locked)
        if stuck:
            if free:
                self._retry(free, again=part.again)
            if part.again:
                return stuck
            self._put_off.extend(stuck)
            self._put_off_pending(locked)
            return ()
        # The lock is gone, or on something that can't be told to belong to a table.
        if len(free) > 1:
            self._halve(free, part.again)
        elif part.again:
            return free
        else:
            self._put_off.extend(free)
        return ()

    def _put_off_pending(self, locked: frozenset[int]) -> None:
        """Spares the parts to come the wait for what is known to be locked: it holds up all of a part."""
        parts, self._pending = self._pending, deque()
        for part in parts:
            self._put_off.extend(table for table in part.tables if table.oid in locked)
            free = tuple(table for table in part.tables if table.oid not in locked)
            if free:
                self._pending.append(_Part(free))

    def _halve(self, tables: tuple[Table, ...], again: bool) -> None:
        middle = len(tables) // 2
        self._retry(tables[:middle], tables[middle:], again=again)

    def _retry(self, *parts: tuple[Table, ...], again: bool) -> None:
        self._pending.extendleft(_Part(part, again) for part in reversed(parts))


def split(tables: Iterable[Table]) -> Iterator[tuple[Table, ...]]:
    """The tables in their order, as many together as one statement may read, at least one."""
    chunk: list[Table] = []
    sizes = [0] * len(_MOST)
    for table in tables:
        own = (table.relations, table.relations + table.indexes, len(table.columns), table.pages)
        sizes = [size + more for size, more in zip(sizes, own, strict=True)]
        if chunk and any(size > most for size, most in zip(sizes, _MOST, strict=True)):
            yield tuple(chunk)
            chunk = []
            sizes = list(own)
        chunk.append(table)
    if chunk:
        yield tuple(chunk)
