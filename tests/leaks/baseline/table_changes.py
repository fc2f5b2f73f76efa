"""One marked row, and a session that changes the table it is in."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from tests.waiting import PATIENCE_S

# Of the column, and how it is turned into text.
_TYPES = {
    "text": "c",
    "varchar": "c",
    "char(40)": "c::text",
    "name": "c",
    "jsonb": "(c #>> '{0}')",
    "json": "(c #>> '{0}')",
    "text[]": "c[1]",
    "pair": "(c).a",
    "pair[]": "c[1].a",
}
_FROM_TEXT = {
    "jsonb": "jsonb_build_array({})",
    "json": "json_build_array({})",
    "text[]": "ARRAY[{}::text]",
    "pair": "ROW({}::text, 1)::pair",
    "pair[]": "ARRAY[ROW({}::text, 1)::pair]",
}


class Changes:
    """Random changes, each a transaction of its own, after each of which the marked row is somewhere."""

    def __init__(self, connection: Connection[TupleRow], seed: int) -> None:
        self._connection = connection
        self._random = random.Random(seed)
        self._number = 0
        self._schema, self._table, self._type = "s0", "t0", "text"
        self._is_partition = False
        self._root = ""
        self.made = 0
        """How many were made."""
        self.failed: BaseException | None = None
        """What ended them."""

    def prepare(self) -> None:
        """Makes what is changed then."""
        for statement in (
            "CREATE TYPE pair AS (a text, b int)",
            "CREATE SCHEMA s0",
            "CREATE TABLE s0.t0 (c text)",
            "INSERT INTO s0.t0 VALUES ('a@test.example.com')",
            *(f"CREATE TABLE n{number} (c text, d jsonb)" for number in range(30)),
        ):
            self._connection.execute(statement.encode())

    def change(self) -> None:
        """Makes one."""
        ways: list[Callable[[], list[str]]] = [self._rename, self._move, self._retype, self._column]
        ways += [self._copy, self._there_and_back, self._rename_schema, self._partition]
        state = (self._schema, self._table, self._type, self._is_partition)
        statements = self._random.choice(ways)()
        try:
            with self._connection.transaction():
                for statement in statements:
                    self._connection.execute(statement.encode())
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            self._schema, self._table, self._type, self._is_partition = state
        else:
            self.made += 1

    @property
    def _name(self) -> str:
        return f"{self._schema}.{self._table}"

    def _new(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number}"

    def _rename(self) -> list[str]:
        """And another table takes the name."""
        old, self._table = self._table, self._new("t")
        return [
            f"ALTER TABLE {self._schema}.{old} RENAME TO {self._table}",
            f"CREATE TABLE {self._schema}.{old} (c text)",
        ]

    def _move(self) -> list[str]:
        """To another schema, and another table takes the place."""
        old, schema = self._name, self._new("s")
        self._schema = schema
        return [
            f"CREATE SCHEMA {schema}",
            f"ALTER TABLE {old} SET SCHEMA {schema}",
            f"CREATE TABLE {old} (c text)",
        ]

    def _retype(self) -> list[str]:
        if self._is_partition:
            return self._partition()
        value = _TYPES[self._type]
        self._type = self._random.choice(sorted(_TYPES))
        using = _FROM_TEXT.get(self._type, "({})::" + self._type).format(value)
        return [f"ALTER TABLE {self._name} ALTER c TYPE {self._type} USING {using}"]

    def _column(self) -> list[str]:
        """The column gets another place, and for a moment another name."""
        if self._is_partition:
            return self._partition()
        return [
            f"ALTER TABLE {self._name} RENAME c TO x",
            f"ALTER TABLE {self._name} ADD c {self._type}",
            f"UPDATE {self._name} SET c = x",  # noqa: S608
            f"ALTER TABLE {self._name} DROP x",
        ]

    def _copy(self) -> list[str]:
        if self._is_partition:
            return self._partition()
        old, self._table = self._name, self._new("t")
        return [f"CREATE TABLE {self._name} AS TABLE {old}", f"DROP TABLE {old}"]

    def _there_and_back(self) -> list[str]:
        """Another table has the name for a while, in which a count may run."""
        name, aside = self._name, self._new("a")
        with self._connection.transaction():
            self._connection.execute(f"ALTER TABLE {name} RENAME TO {aside}".encode())
            self._connection.execute(f"CREATE TABLE {name} (c text)".encode())
        return [f"DROP TABLE {name}", f"ALTER TABLE {self._schema}.{aside} RENAME TO {self._table}"]

    def _rename_schema(self) -> list[str]:
        """And another schema takes the name, with a table of the same name."""
        if self._is_partition:
            return self._partition()
        old, self._schema = self._schema, self._new("s")
        return [
            f"ALTER SCHEMA {old} RENAME TO {self._schema}",
            f"CREATE SCHEMA {old}",
            f"CREATE TABLE {old}.{self._table} (c text)",
        ]

    def _partition(self) -> list[str]:
        """Becomes a partition, or a table of its own."""
        root = f"{self._schema}.{self._new('root')}"
        if self._is_partition:
            self._is_partition = False
            return [f"ALTER TABLE {self._root} DETACH PARTITION {self._name}"]
        self._root = root
        self._is_partition = True
        return [
            f"CREATE TABLE {root} (c {self._type}, k int) PARTITION BY LIST (k)",
            f"ALTER TABLE {self._name} ADD COLUMN IF NOT EXISTS k int",
            f"ALTER TABLE {root} ATTACH PARTITION {self._name} DEFAULT",
        ]


@contextmanager
def changing(dsn: str, seed: int) -> Iterator[Changes]:
    """Changes in a thread of their own, until the end; raises what ended them sooner."""
    stop = threading.Event()
    pause = random.Random(seed)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '1s'")
        changes = Changes(connection, seed)
        changes.prepare()

        def go_on() -> None:
            try:
                # At times none while a scan takes, at times many.
                while not stop.wait(pause.random() ** 4):
                    changes.change()
            except BaseException as error:  # noqa: BLE001 (raised in the test's thread)
                changes.failed = error

        thread = threading.Thread(target=go_on, name="changes", daemon=True)
        thread.start()
        try:
            yield changes
        finally:
            stop.set()
            thread.join(PATIENCE_S)
        if changes.failed is not None:
            raise changes.failed
