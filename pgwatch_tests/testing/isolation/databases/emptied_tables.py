"""Emptied tables: after each test, a worker's database has the template's rows again, and no others.

Which tables were written is asked of the tables themselves, in one statement: counters of the statistics are
published late by sessions that stay open, in other processes above all. A row is new if its transaction
began after the database was copied. New rows are deleted by one statement for all tables: foreign keys are
checked at its end, rings and RESTRICT included, so no order is needed.

What can't be undone this way is told, for the caller to make the database anew: changed or deleted rows of
the template, other tables, rows that triggers keep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.rows import class_row

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.session_settings import Row, SessionLimits
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.testing.isolation.own_sessions import CONNECT_TIMEOUT_S
from pgwatch_tests.text.secrets import mask_name
from pgwatch_tests.text.sql_names import qualified

_LIMITS = SessionLimits(statement_timeout_s=60.0, lock_timeout_s=2.0, read_only=False)
_TABLES_AT_ONCE = 100
"""Tables of one statement: more would take too many of the server's places for locks."""
_PASSES = 3
_UNFINISHED_S = 1.0
_PAUSE_S = 0.01

R = TypeVar("R")

_log = logging.getLogger("pgwatch_tests.isolation")

_UNTOUCHED, _ADDED_TO, _CHANGED = 0, 1, 2


class NotEmptiedError(PgwatchError):
    """The database isn't as it was, and can't be made so by deleting rows; the message says why."""


@dataclass(frozen=True, slots=True)
class _Table:
    """A row of queries/isolation/table_list.sql."""

    schema: str
    name: str
    has_rules: bool

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class _Sequence:
    """A row of queries/isolation/sequences.sql."""

    oid: int
    last_value: int | None
    start: int


class EmptiedTables:
    """The tables of a database that was copied just now, and the rows that it came with."""

    def __init__(self, dsn: str, *, restart_sequences: bool = False) -> None:
        """Raises CannotConnectError, psycopg.Error."""
        self._connection = connect(Dsn(dsn, "the worker's DSN"), _LIMITS, connect_timeout_s=CONNECT_TIMEOUT_S)
        self._name = self._connection.info.dbname
        self._restarts = restart_sequences
        self._unreadable = ""
        """Why rows can't be counted, as where a policy hides them from the tables' owner, too."""
        try:
            self._look()
        except NotEmptiedError as error:
            self._unreadable = str(error)
        except BaseException:
            self._connection.close()
            raise

    def _look(self) -> None:
        self._fingerprint, self._first_xid = self._relations()
        self._tables = self._rows("isolation/table_list", _Table)
        self._seeds = self._count()
        self._questions = [sql.SQL("SELECT ARRAY[{}]::int[]").format(part) for part in self._states()]
        self._sequences = self._rows("isolation/sequences", _Sequence) if self._restarts else []

    def empty(self) -> list[str]:
        """Deletes the new rows; returns the tables that had some, as SQL names them.

        What is written, but not committed, may still be: for a second, then its session is ended, and the
        log says so. A prepared transaction is rolled back. Raises NotEmptiedError, and psycopg.Error if its
        session is lost.
        """
        if self._unreadable:
            raise NotEmptiedError(self._unreadable)
        glance = self._glance()
        if glance is None:
            self._finish_transactions()
            glance = self._relations()[0], self._written()
        fingerprint, written = glance
        if fingerprint != self._fingerprint:
            raise NotEmptiedError("tables, views or sequences were created, altered or dropped")
        emptied: dict[str, None] = {}
        for _ in range(_PASSES):
            if not written:
                break
            self._delete(written)
            emptied |= dict.fromkeys(qualified(table.schema, table.name) for table in written)
            if not any(table.has_rules for table in written):
                break
            written = self._written()
        else:
            raise NotEmptiedError(f"rows come back, by triggers or rules, in {', '.join(emptied)}")
        if self._restarts:
            self._restart_sequences()
        return list(emptied)

    def close(self) -> None:
        """Closes its session."""
        self._connection.close()

    def _glance(self) -> tuple[str, list[_Table]] | None:
        """Asks all in one round trip; returns the fingerprint and the tables with new rows.

        None if a transaction isn't over, or something can't be read. Raises NotEmptiedError if rows of the
        template have changed.
        """
        if not psycopg.Pipeline.is_supported():
            return None
        connection = self._connection
        try:
            with connection.pipeline():
                # First: what is committed by then, the others see.
                unfinished = connection.execute(queries.load("isolation/unfinished"))
                relations = connection.execute(queries.load("isolation/relations_fingerprint"))
                states = [connection.execute(question, prepare=True) for question in self._questions]
            if unfinished.fetchall():
                return None
            fingerprint = str((relations.fetchone() or ("",))[0])
            if fingerprint != self._fingerprint:
                return fingerprint, []
            return fingerprint, self._with_new_rows([state for cursor in states for state in _listed(cursor)])
        except psycopg.Error:
            if connection.closed:
                raise
            return None

    def _finish_transactions(self) -> None:
        """Waits for transactions that have written, for a second, then ends their sessions.

        Their rows would be the next test's. Raises NotEmptiedError if they don't end.
        """
        connection = self._connection
        ended = ""
        for left in range(round(2 * _UNFINISHED_S / _PAUSE_S), 0, -1):
            rows = connection.execute(queries.load("isolation/unfinished")).fetchall()
            for pid, name in rows:
                if pid is None:
                    connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(name)))
            sessions = [(pid, str(name)) for pid, name in rows if pid is not None]
            if not sessions:
                if ended:
                    _log.warning("a transaction was left open in %s and was ended: %s", self._name, ended)
                return
            if left <= _UNFINISHED_S / _PAUSE_S and not ended:
                ended = ", ".join(
                    f"pid {pid} ({mask_name(name) or 'no application name'})" for pid, name in sessions
                )
                parameters = {"pids": [pid for pid, _ in sessions]}
                connection.execute(queries.load("isolation/end_sessions"), parameters)
            time.sleep(_PAUSE_S)
        raise NotEmptiedError(f"a transaction was left open, and can't be ended: {ended}")

    def _relations(self) -> tuple[str, str]:
        row = self._connection.execute(queries.load("isolation/relations_fingerprint")).fetchone()
        assert row is not None
        return str(row[0]), str(row[1])

    def _rows(self, query: str, row: type[R]) -> list[R]:
        with self._connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(queries.load(query)).fetchall()

    def _count(self) -> list[int]:
        counted: list[int] = []
        for part in _portions(self._tables):
            counts = (
                sql.SQL("(SELECT pg_catalog.count(*) FROM ONLY {})").format(table.identifier)
                for table in part
            )
            counted += self._array(sql.SQL("SELECT ARRAY[{}]::bigint[]").format(sql.SQL(", ").join(counts)))
        return counted

    def _states(self) -> Iterator[sql.Composed]:
        """What is asked of each table: one of _UNTOUCHED, _ADDED_TO and _CHANGED."""
        states: list[sql.Composed] = []
        for table, seeds in zip(self._tables, self._seeds, strict=True):
            if seeds == 0:
                form = "CASE WHEN EXISTS (SELECT FROM ONLY {table}) THEN {added} ELSE {untouched} END"
            else:
                form = (
                    "(SELECT CASE WHEN pg_catalog.count(*) FILTER (WHERE NOT {new})"
                    " OPERATOR(pg_catalog.<>) {seeds} THEN {changed}"
                    " WHEN pg_catalog.count(*) OPERATOR(pg_catalog.<>) {seeds} THEN {added}"
                    " ELSE {untouched} END FROM ONLY {table})"
                )
            states.append(
                sql.SQL(form).format(
                    table=table.identifier,
                    new=self._is_new(),
                    seeds=sql.Literal(seeds),
                    added=sql.Literal(_ADDED_TO),
                    changed=sql.Literal(_CHANGED),
                    untouched=sql.Literal(_UNTOUCHED),
                )
            )
        for first in range(0, len(states), _TABLES_AT_ONCE):
            yield sql.SQL(", ").join(states[first : first + _TABLES_AT_ONCE])

    def _is_new(self) -> sql.Composed:
        return sql.SQL(
            "pg_catalog.age(xmin) OPERATOR(pg_catalog.<=) pg_catalog.age({}::pg_catalog.xid)"
        ).format(sql.Literal(str(int(self._first_xid) % 2**32)))

    def _written(self) -> list[_Table]:
        """Returns the tables with new rows. Raises NotEmptiedError if rows of the template have changed."""
        return self._with_new_rows([state for question in self._questions for state in self._array(question)])

    def _with_new_rows(self, states: Sequence[int]) -> list[_Table]:
        pairs = list(zip(self._tables, states, strict=True))
        changed = [qualified(table.schema, table.name) for table, state in pairs if state == _CHANGED]
        if changed:
            raise NotEmptiedError(f"rows of the migrations were changed or deleted in {', '.join(changed)}")
        return [table for table, state in pairs if state == _ADDED_TO]

    def _array(self, query: sql.Composed) -> Sequence[int]:
        try:
            return _listed(self._connection.execute(query, prepare=True))
        except (errors.LockNotAvailable, errors.InsufficientPrivilege) as error:
            raise NotEmptiedError(f"its tables can't be read: {server_message(error)}") from None

    def _delete(self, written: Sequence[_Table]) -> None:
        seeds = dict(zip(self._tables, self._seeds, strict=True))
        parts = [
            sql.SQL("d{} AS (DELETE FROM ONLY {}{})").format(
                sql.SQL(str(number)),
                table.identifier,
                sql.SQL(" WHERE {}").format(self._is_new()) if seeds[table] else sql.SQL(""),
            )
            for number, table in enumerate(written)
        ]
        statement = sql.SQL("WITH {} SELECT").format(sql.SQL(", ").join(parts))
        try:
            self._connection.execute(statement)
        except psycopg.Error as error:
            if self._connection.closed:
                raise
            raise NotEmptiedError(f"rows can't be deleted: {server_message(error)}") from None

    def _restart_sequences(self) -> None:
        now = {sequence.oid: sequence.last_value for sequence in self._rows("isolation/sequences", _Sequence)}
        moved = [one for one in self._sequences if now.get(one.oid) != one.last_value]
        if moved:
            parameters = {
                "oids": [one.oid for one in moved],
                "last_values": [one.last_value for one in moved],
                "starts": [one.start for one in moved],
            }
            with suppress(errors.UndefinedObject):
                self._connection.execute(queries.load("isolation/restart_sequences"), parameters)


def _listed(cursor: psycopg.Cursor[Row]) -> Sequence[int]:
    """Returns the one value of an answer, an array."""
    row = cursor.fetchone()
    assert row is not None
    assert isinstance(row[0], list)
    return row[0]


def _portions(tables: Sequence[_Table]) -> Iterator[Sequence[_Table]]:
    for first in range(0, len(tables), _TABLES_AT_ONCE):
        yield tables[first : first + _TABLES_AT_ONCE]
