"""Names and values in databases whose encoding isn't UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.settings.load import MarkerSetting
from tests.leaks.scanning import reasons, scanned
from tests.servers.sessions import unique_name


class Encoded:
    """A database in an encoding of its own; what is run there isn't converted."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def run(self, *statements: bytes) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(b"SET client_encoding = SQL_ASCII")
            for statement in statements:
                connection.execute(statement)


def encoded(server: EmbeddedServer, encoding: LiteralString) -> Iterator[Encoded]:
    name = unique_name()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING {}").format(
                sql.Identifier(name), sql.Literal(encoding)
            )
        )
        yield Encoded(server.dsn(name))
        administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def latin1(server: EmbeddedServer) -> Iterator[Encoded]:
    """A database in LATIN1."""
    yield from encoded(server, "LATIN1")


@pytest.fixture
def unconverted(server: EmbeddedServer) -> Iterator[Encoded]:
    """A database in SQL_ASCII: any bytes."""
    yield from encoded(server, "SQL_ASCII")


def found(report: LeakReport) -> dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]]:
    return {leak.table: (leak.columns, leak.rows, leak.samples) for leak in report.tables}


def test_latin1(latin1: Encoded) -> None:
    latin1.run(
        b'CREATE TABLE "caf\xe9" ("na\xefve" text)',
        b"INSERT INTO \"caf\xe9\" VALUES ('\xe9l\xe8ve@test.example.com'), ('\xe9')",
    )

    report = scanned(latin1.dsn)

    assert found(report) == {"café": (("naïve",), 1, ("él…@test.example.com",))}
    assert report.complete


def test_a_marker_with_letters_of_latin1(latin1: Encoded) -> None:
    latin1.run(b"CREATE TABLE t (c text)", b"INSERT INTO t VALUES ('x@\xe9cole.org'), ('x@ecole.org')")

    assert scanned(latin1.dsn, (MarkerSetting("school", "%@école.org"),)).total == 1


def test_a_marker_that_the_encoding_has_no_letters_for_matches_nothing(latin1: Encoded) -> None:
    latin1.run(b"CREATE TABLE t (c text)", b"INSERT INTO t VALUES ('x@test.example.com')")
    impossible = MarkerSetting("snow", "%☃%")

    alone = scanned(latin1.dsn, (impossible,))
    beside = scanned(latin1.dsn, (impossible, MarkerSetting("email", "%@test.example.com")))

    assert (alone.total, alone.tables_checked, alone.complete) == (0, 1, True)
    assert beside.total == 1
    assert beside.markers == ("snow", "email")


def test_sql_ascii_with_names_in_utf8(unconverted: Encoded) -> None:
    unconverted.run(
        'CREATE TABLE "日本語" ("列" text)'.encode(),
        "INSERT INTO \"日本語\" VALUES ('x@test.example.com'), ('x@日本.org')".encode(),
    )

    report = scanned(unconverted.dsn)
    japanese = scanned(unconverted.dsn, (MarkerSetting("jp", "%@日本.org"),))

    assert found(report) == {"日本語": (("列",), 1, ("…@test.example.com",))}
    assert found(japanese) == {"日本語": (("列",), 1, ("…@日本.org",))}


def test_sql_ascii_with_names_and_values_in_no_encoding(unconverted: Encoded) -> None:
    unconverted.run(
        b'CREATE TABLE "caf\xe9%s\xff" ("\xe9""x" text)',
        b"INSERT INTO \"caf\xe9%s\xff\" VALUES ('\xe9\xff\xfe\xfd@test.example.com'), ('\xe9')",
        b"CREATE FOREIGN DATA WRAPPER nowhere",
        b"CREATE SERVER far FOREIGN DATA WRAPPER nowhere",
        b'CREATE FOREIGN TABLE "f\xe9" (c text) SERVER far',
    )

    report = scanned(unconverted.dsn)

    assert found(report) == {"caf\\xe9%s\\xff": (('\\xe9"x',), 1, ("\\xe9\\x…@test.example.com",))}
    assert [skipped.table for skipped in report.skipped] == ["f\\xe9"]


def test_escapes_in_json_that_the_encoding_has_no_characters_for(latin1: Encoded) -> None:
    latin1.run(
        b"CREATE TABLE fine AS SELECT json '\"x\\u00e9@test.example.com\"' AS c",
        b"CREATE TABLE snow AS SELECT json '[\"\\u2603\"]' AS c",
    )

    report = scanned(latin1.dsn)

    assert found(report) == {"fine": (("c",), 1, ("x…@test.example.com",))}
    # What the server can't take apart is said, and not 0.
    assert list(reasons(report)) == ["public.snow"]


def test_names_of_fields_in_no_encoding(unconverted: Encoded) -> None:
    unconverted.run(
        b'CREATE TYPE person AS ("\xe9%s" text[])',
        b"CREATE TABLE t (c person)",
        b"INSERT INTO t VALUES (ROW(ARRAY['x@test.example.com']))",
    )

    assert scanned(unconverted.dsn).total == 1
