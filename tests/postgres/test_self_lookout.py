"""A count that nobody else can look out for: behind a pooler, or over the only connection of its role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.statements.any_rows import AnyRowStatements
from pgwatch_tests.postgres.sessions import self_lookout, session, yielding_session
from tests.leaks.scanning import RunningScan, counting, insert, make_slow_table, rows, settings
from tests.servers.poolers import pooler
from tests.servers.sessions import Connect, Database, MakeRole
from tests.waiting import wait_until


@pytest.fixture
def suite(connect: Connect) -> Connection[TupleRow]:
    """A superuser's session in the test's database, which waits for nothing longer than 2 s."""
    connection = connect(autocommit=True)
    connection.execute("SET statement_timeout = '2s'")
    connection.execute("CREATE TABLE users (email text)")
    insert(connection, "users", "a@test.example.com")
    make_slow_table(connection, "slow")
    return connection


@pytest.fixture(params=["transaction", "session", "alone"])
def dsn(
    request: pytest.FixtureRequest,
    server: EmbeddedServer,
    database: Database,
    make_role: MakeRole,
    suite: Connection[TupleRow],
) -> Iterator[str]:
    """How the scan connects."""
    if request.param != "alone":
        with pooler(server, request.param) as pooled:
            yield pooled.dsn(database.name)
        return
    role = make_role()
    suite.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 1").format(sql.Identifier(role)))
    suite.execute(sql.SQL("GRANT SELECT ON users, slow TO {}").format(sql.Identifier(role)))
    yield make_conninfo(database.dsn, user=role)


@pytest.mark.parametrize("statement", ["TRUNCATE slow", "CREATE INDEX CONCURRENTLY ON slow ((1))"])
def test_whoever_waits_is_let_through(
    dsn: str, suite: Connection[TupleRow], statement: LiteralString
) -> None:
    running = RunningScan(settings(dsn))
    wait_until(lambda: "clock_timestamp" in statement_of(suite), message="the count watches itself")
    suite.execute(statement)
    if statement == "TRUNCATE slow":
        report = running.result(timeout_s=30)
        assert (rows(report), report.complete, report.in_the_way_s) == ({"public.users": 1}, True, 0)
    else:
        running.scan.cancel()


def test_whoever_comes_before_it_watches_itself(dsn: str, suite: Connection[TupleRow]) -> None:
    running = RunningScan(settings(dsn))
    wait_until(lambda: counting(suite), message="the count runs")
    suite.execute("TRUNCATE slow")
    report = running.result(timeout_s=30)
    assert (rows(report), report.complete) == ({"public.users": 1}, True)


def test_any_rows_are_counted_so_too(
    server: EmbeddedServer, database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (session, yielding_session):
        monkeypatch.setattr(module, "CUT_SHORT_AFTER_S", 0.001)
    composed_anew: list[AnyRowStatements] = []
    compose = AnyRowStatements.looking_out

    def composed(statements: AnyRowStatements) -> AnyRowStatements:
        composed_anew.append(statements)
        return compose(statements)

    monkeypatch.setattr(AnyRowStatements, "looking_out", composed)
    suite = connect(autocommit=True)
    with pooler(server, "transaction") as pooled:
        asked = settings(pooled.dsn(database.name))
        since = Since(take(asked), any_rows=True)
        suite.execute("CREATE TABLE many AS SELECT i FROM generate_series(1, 200000) AS i")

        report = RunningScan(asked, since).result(timeout_s=60)

    assert rows(report) == {"public.many": 200_000}
    assert composed_anew != []


def test_what_it_counts_is_what_is_there(suite: Connection[TupleRow]) -> None:
    """With all conditions of a count, and with a name that needs quotes."""
    suite.execute("""CREATE TABLE "A b" ("c D" text, created_at timestamptz)""")
    suite.execute("""INSERT INTO "A b" SELECT i, now() FROM generate_series(1, 100000) AS i""")
    source = self_lookout.with_lookout(b'ONLY "A b"', [b'"c D"', b"created_at", b"xmin"])
    counted = suite.execute(b"SELECT count(*), count(xmin), max(created_at) > '2000-01-01' FROM " + source)
    assert counted.fetchone() == (100_000, 100_000, True)


def test_whom_an_error_names() -> None:
    told = 'invalid input syntax for type integer: "pgwatch-tests:42 pytest:gw1 a "b"\n:pgwatch-tests:"'
    assert self_lookout.wanted_by(told) == '42 pytest:gw1 a "b"\n'
    assert self_lookout.wanted_by('invalid input syntax for type integer: "42"') is None


def statement_of(observer: Connection[TupleRow]) -> str:
    """The statement of the count that runs; empty if none does."""
    pid = counting(observer)
    row = observer.execute("SELECT query FROM pg_stat_get_activity(%s)", [pid]).fetchone() if pid else None
    return "" if row is None else str(row[0])
