"""Several databases of one test."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.servers.sessions import unique_name


class Databases:
    """Databases of a test whose names share a prefix."""

    def __init__(self, server: EmbeddedServer, administrator: Connection[TupleRow]) -> None:
        self.prefix = unique_name("many")
        self._server = server
        self._administrator = administrator
        self.made: list[str] = []

    def make(self, suffix: str, rows: int = 0, options: LiteralString = "") -> str:
        """A database with so many leaked rows."""
        name = f"{self.prefix}_{suffix}"
        self._administrator.execute(
            sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(options))
        )
        self.made.append(name)
        if rows:
            with psycopg.connect(self._server.dsn(name), autocommit=True) as inside:
                inside.execute(
                    "CREATE TABLE users AS SELECT 'u' || i || '@test.example.com' AS email"
                    " FROM generate_series(1, %s) AS i",
                    [rows],
                )
        return name

    def alter(self, name: str, what: LiteralString) -> None:
        """ALTER DATABASE."""
        self._administrator.execute(
            sql.SQL("ALTER DATABASE {} {}").format(sql.Identifier(name), sql.SQL(what))
        )
