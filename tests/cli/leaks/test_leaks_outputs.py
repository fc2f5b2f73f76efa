"""`pgwatch-tests leaks` with accepted findings, and with several outputs of one count."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.cli.leaks.test_leaks import leaks
from tests.leaks.scanning import insert
from tests.servers.sessions import Database


@pytest.fixture
def users(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    owner.execute("CREATE TABLE users (email text)")
    insert(owner, "users", "a@test.example.com")
    return owner


def test_what_is_known_passes_and_what_is_new_fails(
    users: Connection[TupleRow], database: Database, home: Path
) -> None:
    arguments = ("--dsn", database.dsn, "--fail")
    assert leaks(home, *arguments).returncode == 1

    written = leaks(home, *arguments, "--write-accept", "accepted.json")
    assert written.returncode == 0, written.stderr
    assert "1 accepted finding of leaks written to accepted.json" in written.stderr
    insert(users, "users", "b@test.example.com")
    known = leaks(home, *arguments, "--accept", "accepted.json")
    assert known.returncode == 0
    assert "no leaked rows; accepted: 2 rows" in known.stdout
    assert "Accepted, not counted: 2 rows of public.users" in known.stdout

    users.execute("CREATE TABLE orders (email text)")
    insert(users, "orders", "c@test.example.com")
    new = leaks(home, *arguments, "--accept", "accepted.json", "--format", "json")
    assert new.returncode == 1
    document = json.loads(new.stdout)
    assert document["total"] == 1
    assert [table["table"] for table in document["tables"]] == ["orders"]
    assert document["accepted"] == {
        "rows": 2,
        "leftovers": 0,
        "known": [{"kind": "rows", "place": "public.users", "test": "*", "number": 2}],
        "gone": [],
    }

    users.execute("DELETE FROM orders")
    users.execute("DELETE FROM users")
    gone = leaks(home, *arguments, "--accept", "accepted.json")
    assert gone.returncode == 0
    assert "Accepted, but not found any more: rows of public.users; remove from the file" in gone.stdout


def test_a_damaged_file_never_passes(users: Connection[TupleRow], database: Database, home: Path) -> None:
    users.execute("DELETE FROM users")
    (home / "accepted.json").write_text('{"schema": "pgwatch-tests.accepted/1"', encoding="utf-8")

    for option in ("--accept", "--write-accept"):
        refused = leaks(home, "--dsn", database.dsn, "--fail", option, "accepted.json")
        assert refused.returncode == 2
        assert "holds no accepted findings: it isn't JSON" in refused.stderr
    assert leaks(home, "--dsn", database.dsn, "--accept", "missing.json").returncode == 2


def test_several_outputs_of_one_count(users: Connection[TupleRow], database: Database, home: Path) -> None:
    arguments = ("--also", "junit=leaks.xml", "--also", "json=leaks.json", "--also", "github")

    ran = leaks(home, "--dsn", database.dsn, "--fail", *arguments)

    assert ran.returncode == 1
    assert "1 leaked row in 1 table" in ran.stdout
    assert "::error title=1 leaked row in public.users" in ran.stdout
    [suite] = ElementTree.parse(home / "leaks.xml").iter("testsuite")
    assert suite.get("failures") == "1"
    assert json.loads((home / "leaks.json").read_text(encoding="utf-8"))["total"] == 1


@pytest.mark.parametrize("also", ["yaml", "junit=", "junit=missing/leaks.xml"])
def test_an_output_that_is_none_is_refused_before_anything_is_counted(also: str, home: Path) -> None:
    refused = leaks(home, "--dsn", "postgresql://nowhere.invalid/test", "--also", also)
    assert refused.returncode == 2, refused.stderr


def test_the_gate_on_everything(users: Connection[TupleRow], database: Database, home: Path) -> None:
    users.execute("DELETE FROM users")
    assert leaks(home, "--dsn", database.dsn, "--fail-on", "all").returncode == 0
    users.execute("CREATE UNLOGGED TABLE scratch (id int)")
    assert leaks(home, "--dsn", database.dsn, "--fail").returncode == 0
    assert leaks(home, "--dsn", database.dsn, "--fail-on", "all").returncode == 1
    assert leaks(home, "--dsn", database.dsn, "--fail-on", "default,unlogged_tables").returncode == 1
