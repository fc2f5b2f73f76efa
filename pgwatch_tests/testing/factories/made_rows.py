"""The rows that factories made: recorded as a session flushes them, whoever added them to it.

So what a relationship brings along is known too, and what `sqlalchemy_get_or_create` found isn't.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

from sqlalchemy import ColumnElement, Connection, Engine, Table, event, inspect, text
from sqlalchemy.orm import Mapper, Session, SessionTransaction
from sqlalchemy.orm.unitofwork import UOWTransaction

from pgwatch_tests.testing.current_test import Owner, current


class MadeRow:
    """One row of one table: an object of joined tables has one in each.

    The object is kept until its transaction has ended, since only it tells that a savepoint was rolled back.
    """

    __slots__ = (
        "_came_to_nothing",
        "_connection",
        "_instance",
        "_reference",
        "_session",
        "columns",
        "engine",
        "key",
        "maker",
        "owner",
        "table",
        "table_oid",
    )

    def __init__(self, instance: object, session: Session, table: Table, table_oid: int, maker: type) -> None:
        mapper: Mapper[object] = inspect(instance).mapper
        bind = session.get_bind(mapper)
        self._came_to_nothing = False
        self._instance: object | None = instance
        self._reference = ref(instance)
        self._session = ref(session)
        self._connection = ref(bind) if isinstance(bind, Connection) else None
        self.engine: Engine = bind.engine
        self.table = table
        self.table_oid = table_oid
        """The table that the row is in: another connection may find another one by the name."""
        self.columns = _key_columns(mapper, table)
        self.key = tuple(
            getattr(instance, mapper.get_property_by_column(column).key) for column in self.columns
        )
        """The values of the columns."""
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

    @property
    def bind(self) -> Engine | Connection:
        """What sees the row: the connection that its session is bound to, if open, else the engine."""
        connection = None if self._connection is None else self._connection()
        if connection is None or connection.closed or connection.invalidated:
            return self.engine
        # Without a transaction, nothing would limit the wait for a lock.
        return self.engine if getattr(connection.connection, "autocommit", False) else connection

    def settle(self) -> None:
        """Takes note that its transaction is committed."""
        self._came_to_nothing = self.was_rolled_back
        self._instance = None

    def forget(self) -> None:
        """Takes note that its transaction has ended otherwise, unless that is part of one by hand."""
        if self._connection is None:
            self._came_to_nothing = True
            self._instance = None

    @property
    def was_rolled_back(self) -> bool:
        """Whether its transaction came to nothing. Then a row of the same key isn't this one."""
        if self._instance is None:
            return self._came_to_nothing
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


_TABLE_OID = text("SELECT CAST(CAST(pg_catalog.to_regclass(:name) AS pg_catalog.oid) AS bigint)")


@dataclass(slots=True)
class Making:
    """One call of a factory, with all that it calls in turn."""

    session: Session
    maker: type
    rows: MadeRows
    before: Mapping[int, object]
    """The objects that were to be inserted before, by others. Each is kept: nothing else gets its id."""
    made: list[object] = field(default_factory=list)
    oids: dict[Table, int] = field(default_factory=dict)

    def record(self, instance: object, oids: dict[Table, int]) -> None:
        """Adds the rows of an object that was just inserted."""
        self.made.append(instance)
        mapper: Mapper[object] = inspect(instance).mapper
        unsettled = self.session.info.setdefault(_UNSETTLED, [])
        for table in mapper.tables:
            if isinstance(table, Table) and _key_columns(mapper, table):
                if table not in oids:
                    oids[table] = _oid(self.session.connection({"mapper": mapper}), table)
                row = MadeRow(instance, self.session, table, oids[table], self.maker)
                unsettled.append(row)
                self.rows.add(row)

    @property
    def is_async(self) -> bool:
        """Whether the session is part of an AsyncSession."""
        return bool(self.session.get_bind().dialect.is_async)


_PENDING = "pgwatch_tests.pending"
"""Where a session's `info` has the objects that aren't flushed when their factory has returned."""
_UNSETTLED = "pgwatch_tests.unsettled"
"""Where a session's `info` has the rows of its open transaction."""
_making: ContextVar[Making | None] = ContextVar("pgwatch_tests.making", default=None)


def current_making() -> Making | None:
    """Returns the call of a factory that runs now."""
    return _making.get()


@contextmanager
def making(session: Session, maker: type, rows: MadeRows) -> Iterator[Making]:
    """Records what the session inserts meanwhile, in this task or thread; also what it flushes only later."""
    one = Making(session, maker, rows, {id(one): one for one in session.new})
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
    oids = {} if one is None else one.oids
    for instance in session.new:
        _, maker = pending.pop(id(instance), (None, one))
        if maker is not None and id(instance) not in maker.before:
            maker.record(instance, oids)


@event.listens_for(Session, "after_commit")
def _settle(session: Session) -> None:
    if not session.in_nested_transaction():
        for row in session.info.pop(_UNSETTLED, ()):
            row.settle()


@event.listens_for(Session, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    # Closed, a session doesn't tell its objects that they were rolled back.
    if transaction.parent is None:
        for row in session.info.pop(_UNSETTLED, ()):
            row.forget()


def _key_columns(mapper: Mapper[object], table: Table) -> Sequence[ColumnElement[Any]]:
    """Returns the primary key; of a table without one, the columns that its mapper takes for one."""
    return tuple(table.primary_key) or tuple(one for one in mapper.primary_key if one.table is table)


def _oid(connection: Connection, table: Table) -> int:
    """Returns the oid of the table that a connection's statements go to, by its path and options."""
    schema = table.schema
    translated = connection.get_execution_options().get("schema_translate_map") or {}
    if schema in translated:
        schema = translated[schema] or connection.dialect.default_schema_name
    name = ".".join(map(_quoted, filter(None, (schema, table.name))))
    return int(connection.execute(_TABLE_OID, {"name": name}).scalar_one() or 0)


def _quoted(name: str) -> str:
    """Returns a name as SQLAlchemy writes it into statements, but for their percent signs."""
    return name if getattr(name, "quote", None) is False else '"' + name.replace('"', '""') + '"'
