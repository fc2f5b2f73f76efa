"""Names and values in databases whose encoding isn't UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.servers.sessions import unique_name
from tests.sweep.rows.row_sweeps import deleted, swept_thoroughly

MARK = b"'x-1717171717171-1a@test.example.com'"


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoded(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[str]:
    """The connection string of a database in that encoding."""
    encoding: LiteralString = request.param
    name = unique_name()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING {}").format(
                sql.Identifier(name), sql.Literal(encoding)
            )
        )
        yield server.dsn(name)
        administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_names_that_are_not_utf8(encoded: str) -> None:
    with psycopg.connect(encoded, autocommit=True) as connection:
        connection.execute("SELECT set_config('client_encoding', current_setting('server_encoding'), false)")
        for statement in (
            b'CREATE SCHEMA "sch\xe9ma%"',
            b'CREATE TABLE "sch\xe9ma%"."caf\xe9%s\xff" ("cl\xe9" int PRIMARY KEY, "na\xefve""" text)',
            b'CREATE TABLE "r\xe9serv\xe9" (id int, "cl\xe9:x" int, created_at timestamptz,'
            b' FOREIGN KEY ("cl\xe9:x") REFERENCES "sch\xe9ma%"."caf\xe9%s\xff")',
            b'INSERT INTO "sch\xe9ma%"."caf\xe9%s\xff" VALUES (1, ' + MARK + b"), (2, '\xe9\xff')",
            b'INSERT INTO "r\xe9serv\xe9" VALUES (1, 1), (2, 2)',
        ):
            connection.execute(statement)

        report = swept_thoroughly(encoded)
        left = connection.execute(b'SELECT id FROM "r\xe9serv\xe9"').fetchall()

    assert left == [(2,)]
    assert report.deleted_rows == 2
    assert deleted(report) in (
        {"caf\\xe9%s\\xff": (1, 0), "r\\xe9serv\\xe9": (0, 1)},
        {"café%sÿ": (1, 0), "réservé": (0, 1)},
    )
