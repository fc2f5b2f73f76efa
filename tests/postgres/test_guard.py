from __future__ import annotations

import secrets
import tomllib
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow, class_row

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.guard import OPT_IN, DatabaseFacts, looks_like_tests, refusal
from tests.servers.sessions import Connect, Database, drop_database

PLAIN = DatabaseFacts("app_test", None, is_standby=False, is_read_only=False)


@pytest.mark.parametrize(
    "name",
    [
        *("test", "test_app", "app_test", "app_test_3", "ci_77", "app_ci", "demo", "demo_booking"),
        *("tests", "testsgw0", "testsgw12", "app_test-0", "app_test2"),
    ],
)
def test_names_of_test_databases(name: str) -> None:
    assert looks_like_tests(name)


@pytest.mark.parametrize(
    "name",
    [
        *("app", "production", "latest", "contest", "testing", "Test", "attest_log", "ci", "cinema", ""),
        *("democracy", "demographics", "demo2", "testsgw", "latest-1", "contest2"),
    ],
)
def test_other_names(name: str) -> None:
    assert not looks_like_tests(name)
    assert looks_like_tests(name, OPT_IN)
    assert not looks_like_tests(name, f"{OPT_IN} not")


def read(connection: Connection[TupleRow]) -> DatabaseFacts:
    with connection.cursor(row_factory=class_row(DatabaseFacts)) as cursor:
        found = cursor.execute(queries.load("server/test_database")).fetchone()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (DatabaseFacts("app_test", None, is_standby=True, is_read_only=False), "standby"),
        (DatabaseFacts("app_test", None, is_standby=False, is_read_only=True), "read-only"),
        (DatabaseFacts("postgres", OPT_IN, is_standby=False, is_read_only=False), "server's own"),
        (DatabaseFacts("template_test", None, is_standby=False, is_read_only=False), "server's own"),
    ],
)
def test_what_no_flag_lifts(facts: DatabaseFacts, words: str) -> None:
    for any_database in (False, True):
        reason = refusal(facts, any_database=any_database)
        assert reason is not None
        assert words in reason


def test_a_refused_database_of_the_server_names_what_to_connect_to() -> None:
    facts = DatabaseFacts("postgres", None, is_standby=False, is_read_only=False)

    assert refusal(facts) == (
        "'postgres' is one of the server's own databases, so nothing is changed in it. Name the suite's "
        "instead (--dsn): one called such as test, test_*, *_test, *_test_*, or one that is allowed by "
        "COMMENT ON DATABASE … IS 'pgwatch-tests: sweep'"
    )


def test_what_a_flag_lifts() -> None:
    shop = DatabaseFacts("shop", None, is_standby=False, is_read_only=False)

    assert "isn't marked as a test database" in (refusal(shop) or "")
    assert refusal(shop, any_database=True) is None
    assert refusal(PLAIN) is None


@pytest.mark.parametrize("name", ["MyApp", 'my "app"', "it's", "back\\slash", "e2e [1]", "select", "mañana"])
def test_a_refusal_says_what_lifts_it(name: str, owner: Connection[TupleRow], server: EmbeddedServer) -> None:
    database = f"{name} {secrets.token_hex(4)}"
    facts = DatabaseFacts(database, None, is_standby=False, is_read_only=False)
    reason = refusal(facts) or ""
    statement = reason.partition("run ")[2].partition("; or ")[0]
    patterns = tomllib.loads(reason.partition("or set ")[2].partition(" in [tool")[0])["test_databases"]

    assert refusal(facts, patterns=patterns) is None
    assert refusal(replace(facts, database="other"), patterns=patterns)
    owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    try:
        owner.execute(statement.encode())
        with psycopg.connect(server.dsn(), dbname=database) as inside:
            assert refusal(read(inside)) is None
    finally:
        drop_database(owner, database)


def test_what_a_database_says_of_itself(database: Database, connect: Connect) -> None:
    owner = connect(autocommit=True)
    before = read(owner)
    owner.execute(
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database.name), sql.Literal(OPT_IN))
    )
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
            sql.Identifier(database.name)
        )
    )

    with psycopg.connect(database.dsn, autocommit=True) as later:
        # As our own sessions do, which must not hide it.
        later.execute("SET default_transaction_read_only = off")
        after = read(later)

    assert before == DatabaseFacts(database.name, None, is_standby=False, is_read_only=False)
    assert after == DatabaseFacts(database.name, OPT_IN, is_standby=False, is_read_only=True)
