"""Temporary schemas of sessions that a crash ended are left over, and those of living sessions aren't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.leaks.leftovers.leftovers_seen import looked, only
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database


@pytest.fixture
def own_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may crash."""
    with EmbeddedServer(programs, server_directory(), {"autovacuum": "off"}, template) as started:
        yield started


def test_temporary_schemas_of_sessions_that_a_crash_ended(own_server: EmbeddedServer) -> None:
    with psycopg.connect(own_server.dsn(), autocommit=True) as session:
        session.execute("CREATE TEMPORARY TABLE scratch (i int)")
        orphan = temporary_schema(session)
        # The server doesn't flush at each commit.
        session.execute("CHECKPOINT")
        own_server.stop(fast=False)
    own_server.start()

    leftover = only(own_server.dsn(), "temporary_schema")
    assert (leftover.name, leftover.detail) == (orphan, "scratch")

    with psycopg.connect(own_server.dsn(), autocommit=True) as session:
        session.execute("CREATE TEMPORARY TABLE mine (i int)")
        report = looked(own_server.dsn(), "temporary_schema")
        if session.info.server_version < 160000:
            (unchecked,) = report.unchecked
            assert "before PostgreSQL 16, the owner" in unchecked.reason
        else:
            assert report.complete
            # Who gets an orphan's number empties it.
            others = [] if temporary_schema(session) == orphan else [orphan]
            assert [one.name for one in report.leftovers] == others


def temporary_schema(session: Connection[TupleRow]) -> str:
    row = session.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").fetchone()
    assert row is not None
    return str(row[0])


def test_temporary_tables_of_living_sessions_arent_left_over(
    owner: Connection[TupleRow], database: Database, connect: Connect
) -> None:
    connect(autocommit=True).execute("CREATE TEMPORARY TABLE scratch (i int)")

    report = looked(database.dsn, "temporary_schema")

    assert report.leftovers == ()
    assert report.complete == (owner.info.server_version >= 160000)
