"""Behind a pooler, each row is told once, names are the tests', and what can't be known isn't checked."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.pytest_plugin.suites import run_suite, told
from tests.servers.poolers import pooler
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

SUITE = """
    import os
    from conftest import DSN, write
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    def test_cleans_up(conn):
        write(conn, "INSERT INTO users (email) VALUES ('a@test.example.com')", "DELETE FROM users")

    def test_leaves(conn):
        write(conn, "INSERT INTO users (email) VALUES ('b@test.example.com')")

    def test_leaves_by_an_engine():
        engine = create_engine(
            DSN.replace("postgresql:", "postgresql+psycopg:"),
            connect_args={"prepare_threshold": None}, poolclass=NullPool,
        )
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO users (email) VALUES ('c@test.example.com')"))

    def test_is_named(conn):
        (name,) = conn.execute("SHOW application_name").fetchone()
        assert name.endswith("::test_is_named")

    def test_has_no_lease(isolated_schema):
        pass
"""
FOUND = {
    "test_leaves": ["left 1 row in public.users (id=2)"],
    "test_leaves_by_an_engine": ["left 1 row in public.users (id=3)"],
}


def test_a_suite_behind_a_pooler(
    pytester: pytest.Pytester, server: EmbeddedServer, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE users (id serial PRIMARY KEY, email text)")
    with pooler(server, "transaction") as running:
        through = f"postgresql://postgres@/{database.name}?host={running.directory}&port=6432"
        pooled = run_suite(pytester, through, SUITE)
        owner.execute("TRUNCATE users RESTART IDENTITY")
        known = run_suite(pytester, through, SUITE, environment={"PGWATCH_DSN": database.dsn})

    refused = "a lease needs a session of its own, but a connection pooler is in between"
    pooled.assert_outcomes(passed=4, errors=3)
    pooled.stdout.fnmatch_lines([f"*RefusedError: {refused}*"])
    found = told(pooled)
    [lease] = found.pop("not checked")
    assert refused in lease
    assert found == FOUND

    # Where the plugin knows the server itself, it is the same database.
    known.assert_outcomes(passed=5, errors=2)
    assert told(known) == FOUND
