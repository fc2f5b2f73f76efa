"""`pgwatch-tests sweep` on a real server: what goes, what stays, what is refused, an end in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.identity.value_tokens import token
from tests.cli.running import environment, pgwatch
from tests.servers.sessions import Database, drop_database, unique_name
from tests.waiting import PATIENCE_S, wait_until


def sweep(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return pgwatch(home, "sweep", *arguments, extra=history(home))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pgwatch_tests", "sweep", *arguments]


def env(home: Path) -> dict[str, str]:
    return environment(history(home))


def history(home: Path) -> dict[str, str]:
    return {"PGWATCH_HISTORY": str(home / "history.sqlite3")}


def fill(owner: Connection[TupleRow], users: int) -> None:
    """Marked users with two bookings each, all a day old, one that is young, and one real."""
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text, created_at timestamptz)")
    owner.execute("CREATE TABLE bookings (id serial PRIMARY KEY, user_id int REFERENCES users)")
    owner.execute(
        "INSERT INTO users SELECT i, 'u' || i || '@test.example.com', now() - interval '1 day'"
        " FROM generate_series(1, %s) AS i",
        [users],
    )
    owner.execute(
        "INSERT INTO bookings (user_id) SELECT 1 + i / 2 FROM generate_series(0, %s) AS i", [2 * users - 1]
    )
    owner.execute("CREATE INDEX ON bookings (user_id)")
    owner.execute(
        "INSERT INTO users VALUES (-1, 'young@test.example.com', now()), (-2, 'a@b.example', now())"
    )


def counts(owner: Connection[TupleRow]) -> tuple[int, int]:
    """Users and bookings."""
    row = owner.execute("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM bookings)").fetchone()
    assert row is not None
    return row[0], row[1]


def recorded(home: Path) -> Sequence[dict[str, object]]:
    entries = json.loads(sweep(home, "--history", "--format", "json").stdout)["sweeps"]
    assert isinstance(entries, list)
    return entries


def test_a_test_that_no_row_carries_is_told(
    owner: Connection[TupleRow], database: Database, home: Path
) -> None:
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("INSERT INTO users VALUES ('a-1717171717171-t1a2b3c4d-x@test.example.com')")
    node = "tests/test_booking.py::test_bookz"

    ran = sweep(home, "--dsn", database.dsn, "--test", node)

    assert ran.returncode == 0
    assert f"no marked row carries {token(node)}, the hash of {node}" in ran.stderr
    assert "pytest --collect-only -q" in ran.stderr
    owner.execute("UPDATE users SET email = 'a-1717171717171-' || %s || '-x@test.example.com'", [token(node)])
    assert "no marked row" not in sweep(home, "--dsn", database.dsn, "--test", node).stderr


def test_what_a_dry_run_says_goes(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    fill(owner, 10)

    dry = sweep(home, "-d", database.dsn)
    assert (dry.returncode, counts(owner)) == (0, (12, 20))
    warning = (
        "half of a table or more would go: 20 of 20 rows of public.bookings, 10 of 12 rows of public.users"
    )
    told = " ".join(dry.stdout.split())
    assert (told.count(warning), dry.stderr) == (1, "")
    assert "30 rows of 2 tables to remove; 1 kept: too young (1); nothing was changed: add --yes" in told
    acted = json.loads(sweep(home, "-d", database.dsn, "--yes", "--fail", "--format", "json").stdout)
    assert counts(owner) == (2, 0)
    assert acted["deleted"] == acted["planned"]
    assert acted["deleted"]["total"] == 30
    again = sweep(home, "-d", database.dsn, "--yes", "--fail")
    assert again.returncode == 0
    assert "nothing removed; 1 kept: too young (1)" in again.stdout
    assert [(one["dry_run"], one["deleted"], one["kept"]) for one in recorded(home)] == [
        *((False, 0, 1), (False, 30, 1), (True, 0, 1))
    ]


def test_no_flag_lifts_the_guard(server: EmbeddedServer, home: Path) -> None:
    name = unique_name("real")
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(server.dsn(name), autocommit=True) as owner:
                fill(owner, 1)
                for flags in ((), ("--yes",), ("--yes", "--min-age", "0s", "--only", "rows")):
                    refused = sweep(home, "-d", server.dsn(name), *flags)
                    assert (refused.returncode, refused.stdout) == (2, "")
                    assert "isn't marked as a test database" in refused.stderr
                refused = sweep(home, "-d", server.dsn(), "--databases", name, "--yes")
                assert refused.returncode == 2
                assert counts(owner) == (3, 2)
        finally:
            drop_database(administrator, name)
    assert {one["result"] for one in recorded(home)} == {"refused"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_in_the_middle(
    owner: Connection[TupleRow], database: Database, home: Path, number: signal.Signals, code: int
) -> None:
    users = 5000
    fill(owner, users)
    with subprocess.Popen(
        command("-d", database.dsn, "--yes", "--batch", "1", "--format", "json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=env(home),
    ) as process:
        wait_until(lambda: counts(owner)[0] < users)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == code
    assert "stopping after this batch" in stderr
    report = json.loads(stdout)
    left = counts(owner)
    assert report["interrupted"] is True
    assert 0 < report["deleted"]["total"] == (users + 2 - left[0]) + (2 * users - left[1])
    # Whole clusters only.
    assert left[1] == 2 * (left[0] - 2)
    assert recorded(home)[0]["result"] == "interrupted"
    assert sweep(home, "-d", database.dsn, "--yes").returncode == 0
    assert counts(owner) == (2, 0)


def test_a_session_that_is_ended(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    users = 5000
    fill(owner, users)
    with subprocess.Popen(
        command("-d", database.dsn, "--yes", "--batch", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=env(home),
    ) as process:
        wait_until(lambda: counts(owner)[0] < users)
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'pgwatch-tests'"
        )
        _, stderr = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 3
    assert "lost" in stderr
    assert recorded(home)[0]["result"] == "failed"
    left = counts(owner)
    assert left[1] == 2 * (left[0] - 2)
