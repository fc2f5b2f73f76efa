"""Databases in which nothing may be swept, whatever is asked for, and sweeps that somebody else is at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.postgres.guard import OPT_IN
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.servers.server_places import server_directory
from tests.servers.sessions import Database, unique_name
from tests.sweep.rows.bookings import (
    REQUEST,
    WHOLE,
    PausingProgress,
    RunningSweep,
    add_users,
    make_tables,
    marked_users,
    settings,
    swept,
)

DRY = replace(REQUEST, dry_run=True)
REQUESTS = (
    DRY,
    REQUEST,
    replace(REQUEST, min_age_s=0.0, temp_index=True),
    SweepRequest(dry_run=False, kinds=("rows", "schemas", "databases", "sessions", "prepared")),
)


def fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as owner:
        make_tables(owner)
        add_users(owner, 1, 3)


def untouched(dsn: str) -> bool:
    with psycopg.connect(dsn, autocommit=True) as owner:
        return marked_users(owner) == [1, 2, 3]


@pytest.fixture
def shop(server: EmbeddedServer) -> Iterator[str]:
    """The name of a database that doesn't look like one of tests, with leftovers all the same."""
    name = unique_name("shop")
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        fill(server.dsn(name))
        yield name
        administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("request_", REQUESTS)
def test_not_a_test_database(server: EmbeddedServer, shop: str, request_: SweepRequest) -> None:
    with pytest.raises(RefusedError, match="isn't marked as a test database"):
        swept(server.dsn(shop), request_)

    assert untouched(server.dsn(shop))


def test_a_database_whose_comment_lets_us_in(server: EmbeddedServer, shop: str) -> None:
    with psycopg.connect(server.dsn(shop), autocommit=True) as owner:
        owner.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(shop), sql.Literal(OPT_IN))
        )

    assert swept(server.dsn(shop)).deleted_rows == 3 * WHOLE


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_the_servers_own_databases(server: EmbeddedServer, name: str, request_: SweepRequest) -> None:
    everything = replace(settings(server.dsn(name)), test_databases=("*",))

    with pytest.raises(RefusedError, match="the server's own"):
        Sweep(everything, request_).run()


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_database_that_is_read_only(
    owner: Connection[TupleRow], database: Database, request_: SweepRequest
) -> None:
    fill(database.dsn)
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
            sql.Identifier(database.name)
        )
    )

    with pytest.raises(RefusedError, match="read-only"):
        swept(database.dsn, request_)

    assert marked_users(owner) == [1, 2, 3]


def test_settings_that_are_read_only(database: Database) -> None:
    fill(database.dsn)
    read_only = replace(settings(database.dsn), read_only=True)

    with pytest.raises(RefusedError, match="read_only is set"):
        Sweep(read_only, REQUEST).run()

    assert untouched(database.dsn)
    assert sum(table.total for table in Sweep(read_only, DRY).run().planned) == 3 * WHOLE


def test_a_standby(programs: ServerPrograms, template: Path) -> None:
    server = EmbeddedServer(programs, server_directory(), {}, template)
    try:
        server.start()
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute("CREATE DATABASE test")
        fill(server.dsn("test"))
        server.stop()
        mark = server.data_directory / "standby.signal"
        mark.touch()
        owner = server.data_directory.stat()
        os.chown(mark, owner.st_uid, owner.st_gid)
        server.start()

        for request in REQUESTS:
            with pytest.raises(RefusedError, match="standby"):
                swept(server.dsn("test"), request)

        assert untouched(server.dsn("test"))
    finally:
        server.close()


def test_two_sweeps_at_once(owner: Connection[TupleRow], database: Database) -> None:
    make_tables(owner)
    add_users(owner, 1, 100)
    paused = PausingProgress()
    first = RunningSweep(settings(database.dsn), replace(REQUEST, clusters_at_once=30), paused)
    paused.wait()

    with pytest.raises(RefusedError, match=r"another sweep is running in this database: pid \d+") as refused:
        swept(database.dsn)
    beside = swept(database.dsn, DRY)
    pid = owner.execute(
        "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    ).fetchone()
    paused.release()

    assert pid is not None
    assert f"pid {pid[0]}," in str(refused.value)
    assert 0 < sum(table.total for table in beside.planned) < 100 * WHOLE
    assert first.result().deleted_rows == 100 * WHOLE
    assert swept(database.dsn).deleted_rows == 0


def test_sweeps_of_two_databases_at_once(
    owner: Connection[TupleRow], database: Database, server: EmbeddedServer
) -> None:
    make_tables(owner)
    add_users(owner, 1, 100)
    paused = PausingProgress()
    first = RunningSweep(settings(database.dsn), progress=paused)
    paused.wait()
    other = unique_name()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(other)))
        try:
            fill(server.dsn(other))
            assert swept(server.dsn(other)).deleted_rows == 3 * WHOLE
        finally:
            administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(other)))
    paused.release()
    assert first.result().deleted_rows == 100 * WHOLE
