"""The rows that factories made: recorded as a session flushes them, whoever added them to it.

So what a relationship brings along is known too, and what `sqlalchemy_get_or_create` found isn't.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from weakref import ref

from sqlalchemy import Engine, Table, event, inspect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.unitofwork import UOWTransaction

from pgwatch_tests.testing.current_test import Owner, current


class MadeRow:
    """One row of one table: an object of joined tables has one in each.

    The object is kept until its transaction is committed, since only it tells that nothing came of it.
    """

    __slots__ = ("_instance", "_reference", "_session", "engine", "key", "maker", "owner", "table")

    def __init__(
        self, instance: object, session: Session, table: Table, key: tuple[object, ...], maker: type
    ) -> None:
        self._instance: object | None = instance
        self._reference = ref(instance)
        self._session = ref(session)
        self.engine: Engine = session.get_bind(inspect(instance).mapper).engine
        self.table = table
        self.key = key
        """The values of the table's primary key, in its order."""
        self.maker = maker
        """The factory that was called, perhaps for another one's sake."""
        self.owner: Owner | None = current()
        """The test that it was made for, where the plugin tells."""

    @property
    def instance(self) -> object | None:
        """The object, if anybody still has it."""
        return self._reference()

    @property
    def session(self) -> Session | None:
        """The session that made it, if anybody still has it."""
        return self._session()

    def settle(self) -> None:
        """Takes note that its transaction is committed."""
        self._instance = None

    @property
    def was_rolled_back(self) -> bool:
        """Whether its transaction came to nothing. Then a row of the same key isn't this one."""
        if self._instance is None:
            return False
        state = inspect(self._instance)
        return state is None or bool(state.transient or state.pending)


class MadeRows:
    """The rows that were made and not yet removed. Safe in threads."""

    def __init__(self) -> None:
        self._rows: list[MadeRow] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def instances(self) -> set[int]:
        """The ids of their objects."""
        with self._lock:
            return {id(one) for row in self._rows if (one := row.instance) is not None}

    def add(self, row: MadeRow) -> None:
        """Adds a row."""
        with self._lock:
            self._rows.append(row)

    def take(self, chosen: Callable[[MadeRow], bool]) -> list[MadeRow]:
        """Takes the rows out that are chosen."""
        with self._lock:
            taken = [row for row in self._rows if chosen(row)]
            left = [row for row in self._rows if not chosen(row)]
            self._rows = left
        return taken


@dataclass(slots=True)
class Making:
    """One call of a factory, with all that it calls in turn."""

    session: Session
    maker: type
    rows: MadeRows
    before: frozenset[int]
    """The ids of objects that were to be inserted before, by others."""
    made: list[object] = field(default_factory=list)
    made_rows: list[MadeRow] = field(default_factory=list)

    def record(self, instance: object) -> None:
        """Adds the rows of an object that was just inserted."""
        self.made.append(instance)
        mapper: Mapper[object] = inspect(instance).mapper
        for table in mapper.tables:
            if isinstance(table, Table) and len(table.primary_key):
                key = _key(mapper, instance, table)
                row = MadeRow(instance, self.session, table, key, self.maker)
                self.made_rows.append(row)
                self.rows.add(row)

    @property
    def is_async(self) -> bool:
        """Whether the session is part of an AsyncSession."""
        return bool(self.session.get_bind().dialect.is_async)


_PENDING = "pgwatch_tests.pending"
"""Where a session's `info` has the objects that aren't flushed when their factory has returned."""
_making: ContextVar[Making | None] = ContextVar("pgwatch_tests.making", default=None)


def current_making() -> Making | None:
    """Returns the call of a factory that runs now."""
    return _making.get()


@contextmanager
def making(session: Session, maker: type, rows: MadeRows) -> Iterator[Making]:
    """Records what the session inserts meanwhile, in this task or thread; also what it flushes only later."""
    one = Making(session, maker, rows, frozenset(map(id, session.new)))
    token = _making.set(one)
    try:
        yield one
    finally:
        _making.reset(token)
        later = [instance for instance in session.new if id(instance) not in one.before]
        if later:
            pending = session.info.setdefault(_PENDING, {})
            pending.update((id(instance), (instance, one)) for instance in later)


@event.listens_for(Session, "after_flush")
def _record(session: Session, _context: UOWTransaction) -> None:
    one = _making.get()
    if one is not None and one.session is not session:
        one = None
    pending: dict[int, tuple[object, Making]] = session.info.get(_PENDING, {})
    if one is None and not pending:
        return
    for instance in session.new:
        _, maker = pending.pop(id(instance), (None, one))
        if maker is not None and id(instance) not in maker.before:
            maker.record(instance)


def _key(mapper: Mapper[object], instance: object, table: Table) -> tuple[object, ...]:
    return tuple(
        getattr(instance, mapper.get_property_by_column(column).key) for column in table.primary_key.columns
    )
