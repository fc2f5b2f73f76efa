"""`pgwatch-tests leaks index` as people and pipelines run it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.cli.running import environment, pgwatch
from tests.leaks.scanning import insert
from tests.servers.sessions import Connect, Database
from tests.waiting import PATIENCE_S, wait_until

COMMAND = [sys.executable, "-m", "pgwatch_tests", "leaks", "index"]


@pytest.fixture
def owner(connect: Connect) -> Connection[TupleRow]:
    """A superuser's session in the test's database, which has a table."""
    connection = connect(autocommit=True)
    connection.execute("CREATE TABLE users (email text)")
    insert(connection, "users", "a@test.example.com", *["someone@example.org"] * 500)
    return connection


def index(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return pgwatch(home, "leaks", "index", *arguments)


def count(owner: Connection[TupleRow], query: str) -> int:
    row = owner.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def indexes(owner: Connection[TupleRow]) -> int:
    return count(owner, "SELECT count(*) FROM pg_class WHERE relname LIKE 'pgwatch\\_leak\\_%'")


def test_from_create_to_drop(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    dsn = ("-d", database.dsn)
    small = index(home, *dsn, "--create", "--yes")
    made = index(home, *dsn, "--create", "--table", "public.users", "--yes")
    listed = index(home, *dsn, "--list")
    again = index(home, *dsn, "--create", "--table", "public.users", "--yes")
    dropped = index(home, *dsn, "--drop", "--yes")
    none = index(home, *dsn, "--list")

    assert [run.returncode for run in (small, made, listed, again, dropped, none)] == [0] * 6
    assert "1 table is smaller than 100 MB" in small.stderr
    assert small.stdout == ""
    for words in ("Takes about", "1 column", "no longer HOT", "ALTER TABLE"):
        assert words in made.stderr
    assert made.stdout.startswith("public.users: pgwatch_leak_users_")
    assert " made (" in made.stdout
    assert "serves scans" in listed.stdout
    assert "already indexed: public.users" in again.stderr
    assert " dropped (" in dropped.stdout
    assert none.stdout == "no index for leak counts\n"
    assert indexes(owner) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one of --create, --drop and --list"),
        (["--create"], "no terminal to ask for confirmation: add --yes"),
        (["--create", "--yes", "--table", "users"], "no table 'users'"),
        (["--create", "--yes", "--marker", "re:[0-9]"], "no index can serve the marker"),
    ],
)
def test_what_is_refused(
    owner: Connection[TupleRow], database: Database, home: Path, arguments: list[str], words: str
) -> None:
    run = index(home, "-d", database.dsn, *arguments)

    assert (run.returncode, run.stdout) == (2, "")
    assert words in run.stderr
    assert indexes(owner) == 0


def test_options_before_the_word_index_are_not_ignored(database: Database, home: Path) -> None:
    run = pgwatch(home, "leaks", "--dsn", database.dsn, "index", "--list")

    assert run.returncode == 2
    assert "put the options behind 'index'" in run.stderr


def test_interrupted_it_leaves_no_index(
    owner: Connection[TupleRow], database: Database, connect: Connect, home: Path
) -> None:
    # CREATE INDEX CONCURRENTLY waits for it, and so does whoever drops the remainder.
    writer = connect()
    writer.execute("DELETE FROM users WHERE false")
    with subprocess.Popen(
        [*COMMAND, "-d", database.dsn, "--create", "--table", "public.users", "--yes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(),
    ) as process:
        wait_until(lambda: indexes(owner) == 1)
        process.send_signal(signal.SIGINT)
        wait_until(
            lambda: count(
                owner,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND query LIKE 'DROP INDEX%' AND wait_event_type = 'Lock'",
            )
        )
        writer.rollback()
        stdout, stderr = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, stdout) == (130, "")
    assert stderr.rstrip().splitlines()[-1] == "interrupted"
    assert indexes(owner) == 0
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pgwatch-tests'"
    )
    wait_until(lambda: count(owner, query) == 0)


def test_interrupted_twice_it_names_the_index_that_stays(
    owner: Connection[TupleRow], database: Database, connect: Connect, home: Path
) -> None:
    writer = connect()
    writer.execute("DELETE FROM users WHERE false")
    with subprocess.Popen(
        [*COMMAND, "-d", database.dsn, "--create", "--table", "public.users", "--yes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(),
    ) as process:
        wait_until(lambda: indexes(owner) == 1)
        process.send_signal(signal.SIGINT)
        dropping = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND query LIKE 'DROP INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: count(owner, dropping))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    writer.rollback()

    assert process.returncode == 130
    [line] = [line for line in stderr.splitlines() if line.startswith("left half made: ")]
    owner.execute(line.removeprefix("left half made: ").encode())
    assert indexes(owner) == 0


def test_a_database_that_isnt_for_tests(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    name = database.name.replace("test", "shop")
    owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        dsn = database.dsn.replace(database.name, name)
        refused = index(home, "-d", dsn, "--create", "--yes")
        allowed = index(home, "-d", dsn, "--create", "--yes", "--any-database")
    finally:
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    assert refused.returncode == 2
    assert "isn't marked as a test database" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert allowed.returncode == 0
    assert f"nothing to make in {name}" in allowed.stderr
