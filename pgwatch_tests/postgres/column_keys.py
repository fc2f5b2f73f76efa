"""Columns of a database, which of them are unique, and which tables refer to which."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from pgwatch_tests.errors import NotCheckedError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect, lost_connection
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.settings.load import Settings

_LIMITS = SessionLimits(statement_timeout_s=5.0, lock_timeout_s=0.5)
_CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and whether a unique index has it as its only key."""

    table: str
    column: str
    is_unique: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A table that has a foreign key, and the table that it refers to."""

    referring: str
    referred: str


def read(settings: Settings) -> tuple[list[Column], list[Reference]]:
    """Reads the catalog of the connection string's database, and leaves at once.

    Raises CannotConnectError, ConnectionLostError, or NotCheckedError if the catalog can't be read in time.
    """
    connection = connect(settings.dsn, _LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)
    try:
        with lost_connection(settings.dsn):
            columns = connection.cursor(row_factory=class_row(Column)).execute(
                queries.load("lint/columns").encode()
            )
            references = connection.cursor(row_factory=class_row(Reference)).execute(
                queries.load("lint/references").encode()
            )
            return columns.fetchall(), references.fetchall()
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
        raise NotCheckedError(f"the keys of the database can't be read: {server_message(error)}") from error
    finally:
        connection.close()
