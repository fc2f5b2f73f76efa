"""A stage for plays without pytest: a database on a server, with a cast that leaves it in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.locks.scenarios.cast import Cast
from tests.servers.sessions import Database, close_at_once, create_database, drop_database


@contextmanager
def staged(server: EmbeddedServer, name: str) -> Iterator[Cast]:
    """Creates the database of that name; its sessions are closed and it is dropped at the end."""
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        create_database(administrator, name)
    opened: list[Connection[TupleRow]] = []

    def connect(
        application_name: str | None = None,
        database: str | None = None,
        user: str | None = None,
        autocommit: bool = False,
    ) -> Connection[TupleRow]:
        dsn = server.dsn(database or name, user or "postgres")
        opened.append(psycopg.connect(dsn, autocommit=autocommit, application_name=application_name))
        return opened[-1]

    with ExitStack() as undo:
        try:
            yield Cast(server, Database(name, server.dsn(name)), connect, undo)
        finally:
            close_at_once(opened, server.dsn())
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        drop_database(administrator, name)
