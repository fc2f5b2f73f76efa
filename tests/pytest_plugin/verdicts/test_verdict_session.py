"""The session of verdicts is in nobody's way: it leaves a database that somebody drops, and comes back."""

from __future__ import annotations

import threading
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError
from pgwatch_tests.pytest_plugin.verdicts import verdict_session
from pgwatch_tests.pytest_plugin.verdicts.verdict_session import (
    GoneError,
    PostponedError,
    VerdictSession,
    served,
)
from pgwatch_tests.testing.connections.commits import ServedDatabase
from tests.servers.sessions import unique_name
from tests.waiting import wait_until


def backends(administrator: Connection[TupleRow], name: str) -> int:
    """How many sessions are in a database."""
    asked = administrator.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name])
    row = asked.fetchone()
    assert row is not None
    return int(row[0])


def made(server: EmbeddedServer) -> str:
    """A new database, which the test drops."""
    name = unique_name()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return name


def test_it_leaves_once_idle_and_comes_back(server: EmbeddedServer) -> None:
    name = made(server)
    session, database = VerdictSession(), served(server.dsn(name))
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        with session.connected(database) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert backends(administrator, name) == 1
        wait_until(lambda: not backends(administrator, name))
        with session.connected(database) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        # The server waits up to 5 s for it to leave.
        administrator.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        with pytest.raises(GoneError), session.connected(database):
            pass
        session.close()


@pytest.mark.parametrize("limited", ["ROLE", "DATABASE"])
def test_where_sessions_are_scarce_it_takes_no_place_of_a_test(
    server: EmbeddedServer, limited: LiteralString, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict_session, "_IDLE_TICKS", 1_000_000)
    name = made(server)
    session, owned = VerdictSession(), sql.Identifier(name)
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE ROLE {} LOGIN").format(owned))
        administrator.execute(sql.SQL("ALTER " + limited + " {} CONNECTION LIMIT 1").format(owned))
        database = served(server.dsn(name, name))
        # A worker of autovacuum takes such a place, too.
        there = "SELECT 1 FROM pg_stat_activity WHERE datname = %s"
        wait_until(lambda: not administrator.execute(there, [name]).fetchall())
        with session.connected(database) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        wait_until(lambda: not backends(administrator, name), message="it has left")
        session.close()
        administrator.execute(sql.SQL("DROP DATABASE {}").format(owned))
        administrator.execute(sql.SQL("DROP ROLE {}").format(owned))


def test_while_it_is_busy_it_leaves_whoever_wants_the_database(server: EmbeddedServer) -> None:
    name = made(server)
    session, database = VerdictSession(), served(server.dsn(name))
    dropped = threading.Event()

    def drop() -> None:
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        dropped.set()

    thread = threading.Thread(target=drop)
    outcomes: set[type[Exception]] = set()
    with session.connected(database) as connection:
        connection.execute("SELECT 1")
    thread.start()
    while not dropped.is_set():
        try:
            with session.connected(database) as connection:
                connection.execute("SELECT 1")
        except (PostponedError, GoneError, CannotConnectError) as error:
            outcomes.add(type(error))
    thread.join()
    session.close()
    assert PostponedError in outcomes


def test_it_comes_back_once_a_test_has_ended_it(server: EmbeddedServer) -> None:
    session, database = VerdictSession(), served(server.dsn())
    with session.connected(database) as connection:
        pid = connection.info.backend_pid
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s)", [pid])
        is_there = "SELECT FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: administrator.execute(is_there, [pid]).fetchone() is None)
    with session.connected(database) as connection:
        assert connection.execute("SELECT pg_backend_pid() = %s", [pid]).fetchone() == (False,)
    session.close()


def test_a_server_that_is_not_there_is_told() -> None:
    session = VerdictSession()
    for dsn in ("host=127.0.0.1 port=1 dbname=x user=nobody", ""):
        with pytest.raises(CannotConnectError), session.connected(ServedDatabase("h", "1", "x", dsn)):
            pass
    session.close()
