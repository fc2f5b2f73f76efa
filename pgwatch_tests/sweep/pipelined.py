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
from pgwatch_tests.sweep.tids import read_and_write_tids


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement, and what to bind; without anything to bind, a % in it is one."""

    statement: bytes
    bound: Mapping[str, object] | None = None
    prepare: bool | None = None
    """Whether it is prepared; None for once it was run as often as the connection says."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The rows of each statement, as binary values, up to the one that failed, and its error.

    A statement that returns none, such as SET, has none.
    """

    rows: Sequence[Sequence[TupleRow]]
    error: psycopg.Error | None = None


def answer(connection: OwnConnection, asked: Asked) -> list[TupleRow]:
    """The rows of one. Raises psycopg's errors."""
    read_and_write_tids(connection)
    with connection.cursor(binary=True) as cursor:
        return _rows(cursor.execute(asked.statement, asked.bound, prepare=asked.prepare))


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

    if not asked:
        return Answers(found)
    try:
        session.run(fetch, len(asked))
    except psycopg.Error as error:
        return Answers(found, error)
    return Answers(found)


def all_answers(session: DatabaseSession, asked: Sequence[Asked]) -> Sequence[Sequence[TupleRow]]:
    """As `answers`; raises the error of a statement that failed, too."""
    found = answers(session, asked)
    if found.error is not None:
        raise found.error
    return found.rows


def _fetch_pipelined(
    connection: OwnConnection,
    asked: Sequence[Asked],
    found: list[list[TupleRow]],
    meanwhile: Callable[[], None],
) -> None:
    cursors: list[Cursor[TupleRow]] = []
    failure: psycopg.Error | None = None
    read_and_write_tids(connection)
    try:
        with connection.pipeline():
            try:
                for one in asked:
                    cursors.append(cursor := connection.cursor(binary=True))
                    cursor.execute(one.statement, one.bound, prepare=one.prepare)
                meanwhile()
            except psycopg.Error as error:
                # Of one before: its answer has come meanwhile.
                failure = error
    except psycopg.Error as error:
        failure = failure or error
    for cursor in cursors:
        if cursor.pgresult is None:
            break
        found.append(_rows(cursor))
    if failure is not None:
        # Of those after it, psycopg believes that they were prepared, until it rolls back by itself.
        with suppress(psycopg.Error):
            connection.rollback()
        raise failure


def _rows(cursor: Cursor[TupleRow]) -> list[TupleRow]:
    return cursor.fetchall() if cursor.pgresult is not None and cursor.pgresult.nfields else []
