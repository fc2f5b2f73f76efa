"""Statements on the driver's own connection, as many in one round trip as the driver sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.util import await_only

Rows = Sequence[Sequence[object]]
Run = Callable[..., Rows]
"""Runs statements without parameters; returns the rows of the last one. Raises the driver's errors."""


def statements_runner(connection: Connection) -> Run:
    """Returns what runs statements on a connection, past the listeners of its engine."""
    fairy: Any = connection.connection
    driver: Any = fairy.driver_connection

    def run_psycopg(*statements: str) -> Rows:
        # Several statements can't be prepared, which psycopg does with what has run five times.
        cursor = driver.execute("; ".join(statements), prepare=False)
        _to_last(cursor)
        rows: Rows = cursor.fetchall() if cursor.description else ()
        return rows

    async def psycopg_rows(statements: str) -> Rows:
        cursor = await driver.execute(statements, prepare=False)
        _to_last(cursor)
        rows: Rows = await cursor.fetchall() if cursor.description else ()
        return rows

    def run_psycopg_async(*statements: str) -> Rows:
        return await_only(psycopg_rows("; ".join(statements)))

    def run_together(*statements: str) -> Rows:
        return _rows(fairy.cursor(), ["; ".join(statements)])

    def run_each(*statements: str) -> Rows:
        return _rows(fairy.cursor(), statements)

    match connection.dialect.driver, connection.dialect.is_async:
        case "psycopg", False:
            return run_psycopg
        case "psycopg" | "psycopg_async", True:
            return run_psycopg_async
        case "psycopg2", False:
            return run_together
    return run_each


def _to_last(cursor: Any) -> None:
    while cursor.nextset():
        pass


def _rows(cursor: Any, statements: Sequence[str]) -> Rows:
    try:
        for statement in statements:
            cursor.execute(statement)
        rows: Rows = cursor.fetchall() if cursor.description else ()
        return rows
    finally:
        cursor.close()
