"""A password that the server refuses: exit code 3, one line that says what to check, the password nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.cli.running import pgwatch
from tests.servers.sessions import MakeRole
from tests.waiting import wait_until

WRONG = "hunter2"


@pytest.fixture
def role(server: EmbeddedServer, make_role: MakeRole) -> Iterator[str]:
    """A role that has to give its password, by SCRAM."""
    name = make_role()
    rules = server.data_directory / "pg_hba.conf"
    before = rules.read_text()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute("SET password_encryption = 'scram-sha-256'")
        administrator.execute(sql.SQL("ALTER ROLE {} PASSWORD 'right'").format(sql.Identifier(name)))
        try:
            rules.write_text(f"local all {name} scram-sha-256\n{before}")
            administrator.execute("SELECT pg_reload_conf()")
            wait_until(lambda: not lets_in(make_conninfo(server.dsn(), user=name)), message="the new rules")
            yield name
        finally:
            rules.write_text(before)
            administrator.execute("SELECT pg_reload_conf()")


def lets_in(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def test_it_says_what_to_check(server: EmbeddedServer, role: str, home: Path) -> None:
    by_url = {"DATABASE_URL": make_conninfo(server.dsn(), user=role, password=WRONG)}
    by_environment = {"DATABASE_URL": make_conninfo(server.dsn(), user=role), "PGPASSWORD": WRONG}
    for extra in (by_url, by_environment):
        for arguments in ([], ["locks"], ["leaks", "--fail"], ["sessions"], ["doctor"], ["--debug", "locks"]):
            done = pgwatch(home, *arguments, extra=extra)
            assert (done.returncode, done.stdout) == (3, "")
            *before, line = done.stderr.splitlines()
            assert bool(before) == ("--debug" in arguments)
            assert line.startswith("pgwatch-tests: cannot connect (DATABASE_URL): ")
            assert f'password authentication failed for user "{role}"' in line
            assert (
                "Check: user and password: they are of the connection string, PGUSER and PGPASSWORD" in line
            )
            assert WRONG not in done.stderr


def test_a_missing_password_is_told_alike(server: EmbeddedServer, role: str, home: Path) -> None:
    done = pgwatch(home, "locks", extra={"DATABASE_URL": make_conninfo(server.dsn(), user=role)})
    assert (done.returncode, done.stdout) == (3, "")
    assert "no password supplied" in done.stderr
    assert "Check: user and password: " in done.stderr
