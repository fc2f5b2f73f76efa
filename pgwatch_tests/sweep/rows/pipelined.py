"""Statements of one transaction that are sent without waiting for the answer to each.

A batch has dozens about a few rows each: to and fro took as long as the server did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import Cursor, Pipeline
from psycopg.rows import TupleRow

from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.sweep.tids import Tids, read_and_write_tids


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement, and what to bind."""

    statement: bytes
    bound: Mapping[str, Tids]


@dataclass(frozen=True, slots=True)
class Answers:
    """The rows of each statement, as binary values, up to the one that failed, and its error."""

    rows: Sequence[Sequence[TupleRow]]
    error: psycopg.Error | None = None


def answer(connection: OwnConnection, asked: Asked) -> list[TupleRow]:
    """The rows of one. Raises psycopg's errors."""
    with connection.cursor(binary=True) as cursor:
        read_and_write_tids(cursor)
        return cursor.execute(asked.statement, asked.bound).fetchall()


def answers(
    session: DatabaseSession, asked: Sequence[Asked], meanwhile: Callable[[], None] = lambda: None
) -> Answers:
    """The rows of each, run in this order in the transaction that is open. After an error it has failed, too.

    One after the other behind a pooler, and where libpq can't do better (before 14). `meanwhile` is called
    once all are sent; perhaps it isn't. Raises what `session.running` does but for the error of a statement
    that failed.
    """
    found: list[list[TupleRow]] = []

    def fetch(connection: OwnConnection) -> None:
        if len(asked) > 1 and connection.pooled is False and Pipeline.is_supported():
            _fetch_pipelined(connection, asked, found, meanwhile)
        else:
            for one in asked:
                found.append(answer(connection, one))

    try:
        session.run(fetch, len(asked))
    except psycopg.Error as error:
        return Answers(found, error)
    return Answers(found)


def _fetch_pipelined(
    connection: OwnConnection,
    asked: Sequence[Asked],
    found: list[list[TupleRow]],
    meanwhile: Callable[[], None],
) -> None:
    cursors: list[Cursor[TupleRow]] = []
    failure: psycopg.Error | None = None
    try:
        with connection.pipeline():
            try:
                for one in asked:
                    cursors.append(cursor := connection.cursor(binary=True))
                    read_and_write_tids(cursor)
                    cursor.execute(one.statement, one.bound)
                meanwhile()
            except psycopg.Error as error:
                # Of one before: its answer has come meanwhile.
                failure = error
    except psycopg.Error as error:
        failure = failure or error
    for cursor in cursors:
        if cursor.pgresult is None:
            break
        found.append(cursor.fetchall())
    if failure is not None:
        # Of those after it, psycopg believes that they were prepared, until it rolls back by itself.
        with suppress(psycopg.Error):
            connection.rollback()
        raise failure
