"""A gate in the middle of a sweep: a trigger that waits for a lock, which the test holds."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.waiting import wait_until

_KEY = 4711
"""Of an advisory lock: these belong to one database, and so to one test."""


class Gate:
    """Shut at first, as a context manager; at its end it is open.

    `holder` is an autocommit connection that nobody else uses meanwhile.
    """

    def __init__(self, holder: Connection[TupleRow]) -> None:
        self._holder = holder
        # A sweep waits for locks for milliseconds only, which is no matter of the gate.
        holder.execute(
            "CREATE FUNCTION public.pass_gate() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS"
            f" $$ BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared({_KEY}); RETURN OLD; END $$".encode()
        )

    def put_before_row(self, table: str, condition: str = "true") -> None:
        """DELETE waits before the rows for which `condition` on OLD holds."""
        self._holder.execute(
            sql.SQL(
                "CREATE TRIGGER pass_gate BEFORE DELETE ON {} FOR EACH ROW WHEN ({})"
                " EXECUTE FUNCTION public.pass_gate()"
            ).format(sql.Identifier(table), sql.SQL(condition))
        )

    def put_before_statement(self, table: str) -> None:
        """DELETE waits once it has its snapshot, and before it reads a row."""
        self._holder.execute(
            sql.SQL(
                "CREATE TRIGGER pass_gate BEFORE DELETE ON {} FOR EACH STATEMENT"
                " EXECUTE FUNCTION public.pass_gate()"
            ).format(sql.Identifier(table))
        )

    def __enter__(self) -> Self:
        self._holder.execute("SELECT pg_advisory_lock(%s)", [_KEY])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open()

    def wait(self) -> None:
        """Returns once somebody waits at the gate."""
        wait_until(self.somebody_waits, 20)

    def somebody_waits(self) -> bool:
        """Whether somebody does."""
        found = self._holder.execute(
            "SELECT 1 FROM pg_lock_status() AS lock WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return found.fetchone() is not None

    def open(self) -> None:
        """Lets everybody pass, from now on."""
        self._holder.execute("SELECT pg_advisory_unlock_all()")
