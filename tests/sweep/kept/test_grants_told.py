"""What a role lacks is told as statements: few for many tables, and followed to the letter they help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.sweep.model import SweepReport
from tests.leaks.scanning import scanned
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import make, swept

ODD = 'o\'dd "role" of müller'
ODD_SCHEMA = 'Odd "schema"'


@pytest.fixture
def tables(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Two schemas with tables, keys between them, a sequence each, and partitions in the other schema."""
    make(
        owner,
        """CREATE SCHEMA "Odd ""schema\""";
        CREATE TABLE users (id serial PRIMARY KEY, email text);
        CREATE TABLE posts (id serial PRIMARY KEY, user_id int REFERENCES users, email text);
        CREATE TABLE notes (id serial, user_id int REFERENCES users ON DELETE SET NULL, email text);
        CREATE TABLE likes (user_id int REFERENCES users, post_id int REFERENCES posts);
        CREATE TABLE "Odd ""schema\""".logs (id int, email text) PARTITION BY RANGE (id);
        CREATE TABLE "Odd ""schema\""".logs_1 PARTITION OF "Odd ""schema\""".logs FOR VALUES FROM (0) TO (5);
        CREATE TABLE "Odd ""schema\""".logs_2 PARTITION OF "Odd ""schema\""".logs FOR VALUES FROM (5) TO (9);
        CREATE TABLE logs_3 PARTITION OF "Odd ""schema\""".logs FOR VALUES FROM (9) TO (99);
        CREATE TABLE "Odd ""schema\""".a (email text);
        CREATE TABLE "Odd ""schema\""".b (email text);
        INSERT INTO users (email) VALUES (MARKED), ('real'), ('real');
        INSERT INTO posts (user_id, email) VALUES (1, MARKED), (1, MARKED);
        INSERT INTO notes (user_id, email) VALUES (1, MARKED), (2, 'real');
        INSERT INTO likes VALUES (1, 1), (1, 2);
        INSERT INTO "Odd ""schema\""".logs SELECT i, MARKED FROM generate_series(1, 20) AS i;
        INSERT INTO "Odd ""schema\""".a VALUES (MARKED), ('real');
        INSERT INTO "Odd ""schema\""".b VALUES (MARKED), ('real');""",
    )
    return owner


@pytest.fixture
def odd_role(tables: Connection[TupleRow], database: Database) -> Iterator[str]:
    """A role with an odd name, and no privilege at all; dropped in the end."""
    role = f"{ODD} {database.name}"
    tables.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    yield role
    tables.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def statements(report: SweepReport) -> list[str]:
    """The GRANTs that a report tells, each once."""
    told = [re.sub(r"^.*? \((?=GRANT )|\)$", "", one) for one in report.not_checked]
    told += [kept.detail.partition(": ")[2] for kept in report.kept]
    return list(dict.fromkeys(one for line in told for one in line.split("; ") if one))


def test_following_what_is_told(
    tables: Connection[TupleRow], server: EmbeddedServer, database: Database, odd_role: str
) -> None:
    dsn = server.dsn(database.name, odd_role)
    everything: list[str] = []
    while told := statements(report := swept(dsn)):
        assert not set(told) & set(everything), "told again, though it was followed"
        for statement in told:
            assert statement.startswith("GRANT ")
            tables.execute(statement.encode())
        everything += told

    to = f'TO "{odd_role.replace(chr(34), chr(34) * 2)}"'
    on = 'ALL TABLES IN SCHEMA "public"', 'ALL TABLES IN SCHEMA "Odd ""schema"""'
    assert sorted(everything) == sorted(
        (
            f'GRANT USAGE ON SCHEMA "Odd ""schema""" {to}',
            *(f"GRANT SELECT ON {one} {to}" for one in on),
            *(f"GRANT UPDATE, DELETE ON {one} {to}" for one in on),
        )
    )
    assert report.complete
    assert report.deleted_rows == 1 + 2 + 1 + 2 + 20 + 2
    assert tables.execute("SELECT email FROM users").fetchall() == [("real",), ("real",)]


@pytest.mark.parametrize("more", ["", "CREATE TABLE unasked (n int)"])
def test_a_table_that_nobody_asks_for_is_not_granted(
    tables: Connection[TupleRow],
    server: EmbeddedServer,
    database: Database,
    odd_role: str,
    more: LiteralString,
) -> None:
    """Where another table lacks it too, each that is meant is named."""
    names = [sql.Identifier(name) for name in (odd_role, ODD_SCHEMA)]
    give = "GRANT USAGE ON SCHEMA {1} TO {0}; GRANT SELECT ON ALL TABLES IN SCHEMA public, {1} TO {0}"
    tables.execute(sql.SQL(give).format(*names))
    tables.execute(more or "SELECT 1")

    told = statements(swept(server.dsn(database.name, odd_role)))

    of_public = [one for one in told if '"public"' in one]
    if more:
        assert {re.sub(r'.*"public"\."(\w+)" TO .*', r"\1", one) for one in of_public} >= {"users", "notes"}
        assert not any("ALL TABLES" in one or "unasked" in one for one in of_public)
    else:
        assert len(of_public) == 1


def test_leaks_tells_the_same(
    tables: Connection[TupleRow], server: EmbeddedServer, database: Database, odd_role: str
) -> None:
    dsn = server.dsn(database.name, odd_role)
    hints = {one.hint for one in scanned(dsn).skipped}
    for hint in hints:
        tables.execute(hint.encode())

    assert scanned(dsn).complete
    assert len(hints) == 2
    assert all("GRANT SELECT ON ALL TABLES IN SCHEMA" in hint for hint in hints)
