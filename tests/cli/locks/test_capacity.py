"""A server that has hardly a connection left, or hardly room in its lock table: every command tells."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.cli.running import pgwatch
from tests.servers.server_places import server_directory
from tests.waiting import wait_until

SMALL = {
    "max_connections": "12",
    "superuser_reserved_connections": "3",
    "max_locks_per_transaction": "10",
    "max_prepared_transactions": "0",
}


@pytest.fixture
def small(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server with few connections, and the role `app`."""
    with EmbeddedServer(programs, server_directory(), SMALL, template) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute("CREATE ROLE app LOGIN; CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
            administrator.execute("CREATE DATABASE cramped CONNECTION LIMIT 1")
        yield server


def on(dsn: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return pgwatch(home, *arguments, extra={"PGWATCH_DSN": dsn})


def fill(server: EmbeddedServer, stack: ExitStack) -> int:
    """Takes all connections that a plain role can have; how many."""

    def is_full() -> bool:
        try:
            connection = psycopg.connect(server.dsn("postgres", "app"), application_name="pool of gw0")
        except psycopg.OperationalError:
            return True
        pool.append(stack.enter_context(connection))
        return False

    pool: list[psycopg.Connection[TupleRow]] = []
    wait_until(is_full, message="no connection is left")
    return len(pool)


def test_a_server_without_a_free_connection(small: EmbeddedServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        number = fill(small, stack)
        # A password that is a part of the server's words is redacted in them.
        refused = on(f"{small.dsn('postgres', 'app')}&password=m", tmp_path, "locks")
        assert (refused.returncode, refused.stdout) == (3, "")
        assert len(refused.stderr.splitlines()) == 1
        assert "max_connections is used up, but for slots reserved for superusers" in refused.stderr
        assert "as one, `pgwatch-tests doctor` shows who has them" in refused.stderr
        words = f"{number} by pool of gw0 (user app, database postgres"
        locks = on(small.dsn(), tmp_path, "locks")
        assert "of 12 connections are taken (max_connections, 3 of them kept for superusers)" in _joined(
            locks
        )
        assert words in _joined(locks)
        document = json.loads(on(small.dsn(), tmp_path, "locks", "--format", "json").stdout)
        assert document["connections"]["nearly_used_up"]
        assert document["connections"]["max"] == 12
        assert document["connections"]["by"][0]["sessions"] == number
        for form in ("markdown", "github"):
            assert words in on(small.dsn(), tmp_path, "locks", "--format", form).stdout
        assert words in _joined(on(small.dsn(), tmp_path, "doctor"))


def test_a_server_with_connections_to_spare(small: EmbeddedServer, tmp_path: Path) -> None:
    told = on(small.dsn(), tmp_path, "locks").stdout
    assert "of 12 connections" in told
    assert "are taken" not in told
    document = json.loads(on(small.dsn(), tmp_path, "locks", "--format", "json").stdout)
    assert not document["connections"]["nearly_used_up"]
    assert not document["lock_table"]["nearly_full"]


def test_limits_of_a_role_and_of_a_database(small: EmbeddedServer, tmp_path: Path) -> None:
    with (
        psycopg.connect(small.dsn("postgres", "narrow")),
        psycopg.connect(small.dsn("cramped", "app")),
    ):
        for dsn, words in (
            (small.dsn("postgres", "narrow"), "as another role shows by what"),
            (small.dsn("cramped", "app"), "in another database or as a superuser"),
        ):
            refused = on(dsn, tmp_path, "leaks")
            assert refused.returncode == 3
            assert words in refused.stderr
        told = _joined(on(small.dsn("postgres", "app"), tmp_path, "doctor"))
        assert "database cramped: 1 of its 1 connections taken, nearly all" in told
        assert "role narrow: 1 of its 1 connections taken, nearly all" in told


def test_a_lock_table_that_is_nearly_full(small: EmbeddedServer, tmp_path: Path) -> None:
    with psycopg.connect(small.dsn(), application_name="migration") as session:
        names = ", ".join(f"t{number}" for number in range(100))
        for name in names.split(", "):
            session.execute(f"CREATE TABLE {name} ()".encode())
            session.commit()
        session.execute(f"LOCK TABLE {names}".encode())
        told = _joined(on(small.dsn(), tmp_path, "locks"))
        assert "The lock table holds 10" in told
        assert 'of about 120 objects. Soon any statement may fail with "out of shared memory"' in told
        assert "raise max_locks_per_transaction" in _joined(on(small.dsn(), tmp_path, "doctor"))
        document = json.loads(on(small.dsn(), tmp_path, "locks", "--format", "json").stdout)
        assert document["lock_table"]["nearly_full"]
        assert document["lock_table"]["used"] >= 100
    assert "holds" not in on(small.dsn(), tmp_path, "locks").stdout


def _joined(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stdout.split())
