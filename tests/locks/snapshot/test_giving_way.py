"""A suite that drops or copies its databases while it is watched: nothing of ours is in its way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.locks.watching import Watching
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database, RunningStatement, blocked, drop_database
from tests.waiting import wait_until

COPY: LiteralString = "CREATE DATABASE {0} TEMPLATE {1}"
ALONE: tuple[LiteralString, ...] = (COPY, "ALTER DATABASE {1} RENAME TO {0}", "DROP DATABASE {1}")
OURS = """
    SELECT datname, state, query FROM pg_stat_activity
    WHERE application_name IN ('', 'pgwatch-tests') AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND datname = %s
"""


@pytest.mark.parametrize("alone", ALONE)
def test_names_are_looked_up_and_nobody_stays(
    database: Database, connect: Connect, alone: LiteralString
) -> None:
    watching = Watching(database.dsn)
    admin = connect(database="postgres", autocommit=True)
    other = f"{database.name}_other"

    def suite() -> None:
        with psycopg.connect(database.dsn) as holder, psycopg.connect(database.dsn) as waiter:
            holder.execute("CREATE TABLE accounts (id int PRIMARY KEY)")
            holder.execute("INSERT INTO accounts VALUES (42)")
            holder.commit()
            holder.execute("UPDATE accounts SET id = 42")
            running = blocked(waiter, "UPDATE accounts SET id = 42")
            wait_until(lambda: watching.knows("row of accounts (id=42)"), message="the row's name is known")
            holder.commit()
            running.result()
        # After 5 s it fails.
        admin.execute(sql.SQL(alone).format(sql.Identifier(other), sql.Identifier(database.name)))

    try:
        watching.beside(suite)
    finally:
        drop_database(admin, other)
    assert not watching.errors


def test_what_is_known_is_not_looked_up_again(database: Database, connect: Connect) -> None:
    holder, waiter = connect(), connect()
    holder.execute("CREATE TABLE accounts (id int PRIMARY KEY)")
    holder.commit()
    holder.execute("LOCK TABLE accounts")
    waits = blocked(waiter, "SELECT FROM accounts")
    watching = Watching(database.dsn)

    def suite() -> None:
        wait_until(lambda: watching.knows("table accounts"), message="the table's name is known")
        begun = watching.polls
        wait_until(lambda: watching.polls > begun + 10, message="ten more polls")

    watching.beside(suite)
    assert watching.opened.count(database.name) == 1, "relation, row and object in one visit"
    holder.rollback()
    waits.result()


@pytest.fixture(scope="module")
def closed_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server where a plain role may not connect to the maintenance database."""
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
            admin.execute("CREATE ROLE plain LOGIN")
        yield server


@pytest.fixture
def own_server(closed_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server, where a plain role may connect to the database `app` only."""
    with psycopg.connect(closed_server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE app")
        yield closed_server
        for name in ("app", "other", "copy_0", "copy_1"):
            drop_database(admin, name)


@pytest.mark.parametrize("polls", [True, False], ids=["polling", "paused"])
@pytest.mark.parametrize("alone", ALONE)
def test_a_role_without_a_maintenance_database_gives_way(
    own_server: EmbeddedServer, alone: LiteralString, polls: bool
) -> None:
    watching = Watching(own_server.dsn("app", "plain"))
    with psycopg.connect(own_server.dsn(), autocommit=True) as admin:

        def suite() -> None:
            assert admin.execute(OURS, ["app"]).fetchall(), "polled from there, having nowhere else to go"
            # After 5 s it fails.
            admin.execute(sql.SQL(alone).format(sql.Identifier("other"), sql.Identifier("app")))
            if polls and alone != COPY:
                # Gone for now; it comes back with the next suite.
                wait_until(lambda: any("does not exist" in error for error in watching.errors))
                admin.execute("CREATE DATABASE app")
            seen = watching.polls
            if polls:
                wait_until(lambda: watching.polls > seen, message="a poll after it")

        watching.beside(suite, polls=polls)
    if polls:
        assert "left app, which is being dropped, altered or copied; trying again" in watching.errors


def test_a_second_copy_does_not_wait_for_us(own_server: EmbeddedServer) -> None:
    """Workers copy one template at the same time; what gives way must not come back in between."""
    watching = Watching(own_server.dsn("app", "plain"))
    with psycopg.connect(own_server.dsn(), autocommit=True) as admin:
        admins = [psycopg.connect(own_server.dsn(), autocommit=True) for _ in range(2)]

        def suite() -> None:
            copies = [
                RunningStatement(one, f"CREATE DATABASE copy_{number} TEMPLATE app", ())
                for number, one in enumerate(admins)
            ]
            for copy in copies:
                copy.result()

        watching.beside(suite)
        for one in admins:
            one.close()
        assert admin.execute("SELECT 1 FROM pg_database WHERE datname LIKE 'copy%'").rowcount == 2
