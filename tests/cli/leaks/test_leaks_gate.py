"""`pgwatch-tests leaks` as a gate on leftovers and over many databases, as pipelines run it."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.cli.leaks.test_leaks import COMMAND, leaks
from tests.cli.running import environment
from tests.leaks.scanning import counting, insert, make_slow_table
from tests.servers.sessions import Connect, Database, MakeRole, drop_database
from tests.waiting import PATIENCE_S, wait_until


def test_what_the_gate_fails_on(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    owner.execute("CREATE SCHEMA test_1717171717171_4711_x7f3")

    codes = {
        arguments: leaks(home, "--dsn", database.dsn, *arguments.split()).returncode
        for arguments in (
            "",
            "--fail",
            "--fail --kinds none",
            "--fail-on rows",
            "--fail-on schemas",
            "--fail-on rows,prepared_transactions",
            "--max 5",
        )
    }

    assert codes == {
        "": 0,
        "--fail": 1,
        # What the gate fails on is looked for all the same.
        "--fail --kinds none": 1,
        "--fail-on rows": 0,
        "--fail-on schemas": 1,
        "--fail-on rows,prepared_transactions": 0,
        "--max 5": 1,
    }


def test_tolerated_rows(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    owner.execute("CREATE TABLE users (email text)")
    insert(owner, "users", *(f"user{i}@test.example.com" for i in range(7)))

    assert leaks(home, "--dsn", database.dsn, "--max", "7").returncode == 0
    assert leaks(home, "--dsn", database.dsn, "--max", "6").returncode == 1
    assert leaks(home, "--dsn", database.dsn, "--max", "0", "--fail-on", "schema").returncode == 0


def test_a_role_that_cant_see_makes_it_incomplete(
    owner: Connection[TupleRow],
    server: EmbeddedServer,
    database: Database,
    connect: Connect,
    make_role: MakeRole,
    home: Path,
) -> None:
    dsn = server.dsn(database.name, make_role())
    monitor = server.dsn(database.name, make_role("IN ROLE pg_monitor"))
    # Others that are in no transaction, as `owner`, are surely not idle in one.
    outside = leaks(home, "--dsn", dsn, "--fail")
    assert outside.returncode == 0, outside.stdout
    connect().execute("SELECT 1")

    plain = leaks(home, "--dsn", dsn, "--fail")
    rows_only = leaks(home, "--dsn", dsn, "--fail-on", "rows")
    seeing = leaks(home, "--dsn", monitor, "--fail")
    owner.execute("CREATE SCHEMA test_left")
    found = leaks(home, "--dsn", dsn, "--fail")

    assert plain.returncode == 4
    assert "1 session of other roles not visible: needs pg_monitor" in plain.stdout
    assert "not fully checked: sessions idle in transaction" in plain.stdout
    assert [run.returncode for run in (rows_only, seeing, found)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--fail-on", "everything"],
            "unknown kind 'everything'; known are all, default, rows, unread, schema",
        ),
        (["--kinds", "rowz"], "unknown kind 'rowz'; known are all, default, rows, unread, schema"),
        (["--max", "-1"], "--max"),
        (["--jobs", "0"], "--jobs"),
        (["--databases", ","], "names no database"),
        (["--databases", "no_such_*"], "no database that could be checked matches 'no_such_*'"),
    ],
)
def test_usage(database: Database, home: Path, arguments: list[str], message: str) -> None:
    run = leaks(home, "--dsn", database.dsn, *arguments)

    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr


def test_patterns_of_schemas_from_the_settings(
    owner: Connection[TupleRow], database: Database, home: Path
) -> None:
    owner.execute("CREATE SCHEMA qa_1")
    arguments = ("--dsn", database.dsn, "--fail")
    assert leaks(home, *arguments).returncode == 0

    assert leaks(home, *arguments, extra={"PGWATCH_TEST_SCHEMAS": "qa_* e2e_*"}).returncode == 1
    (home / "pyproject.toml").write_text('[tool.pgwatch-tests]\ntest_schemas = ["qa_*"]\n')
    assert leaks(home, *arguments).returncode == 1
    (home / "pyproject.toml").write_text("[tool.pgwatch-tests]\ntest_schemas = 'qa_*'\n")
    wrong = leaks(home, *arguments)
    assert wrong.returncode == 2
    assert "must be a list of names or globs" in wrong.stderr


def test_each_form_to_a_file(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    owner.execute("CREATE TABLE users (email text)")
    insert(owner, "users", "a@test.example.com")
    owner.execute('CREATE SCHEMA "test_=1|`x`"')
    documents = {}
    for form in ("table", "json", "csv", "markdown", "github", "junit"):
        run = leaks(home, "--dsn", database.dsn, "--fail", "--format", form, "-o", f"leaks.{form}")
        assert (run.returncode, run.stdout, run.stderr) == (1, "", "")
        documents[form] = (home / f"leaks.{form}").read_text(encoding="utf-8")

    assert "test schema  test_=1|`x`" in documents["table"]
    assert json.loads(documents["json"])["leftovers"][0]["name"] == "test_=1|`x`"
    table, schema = csv.DictReader(io.StringIO(documents["csv"]))
    assert (table["rows"], schema["name"]) == ("1", "test_=1|`x`")
    assert "`` test_=1\\|`x` ``" in documents["markdown"]
    assert documents["github"].startswith("::error title=1 leaked row in public.users::")
    failures = ElementTree.fromstring(documents["junit"].encode()).findall(".//failure")
    assert [failure.get("type") for failure in failures] == ["rows", "schema"]


@pytest.fixture
def second(server: EmbeddedServer, database: Database) -> Iterator[Database]:
    """A database beside the test's, with three leaked rows, whose name goes on from that one's."""
    name = f"{database.name}_b"
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(server.dsn(name), autocommit=True) as inside:
            inside.execute("CREATE TABLE users (email text)")
            insert(inside, "users", *(f"user{i}@test.example.com" for i in range(3)))
        yield Database(name, server.dsn(name))
        drop_database(administrator, name)


def test_many_databases(server: EmbeddedServer, database: Database, second: Database, home: Path) -> None:
    both = ("--dsn", server.dsn(), "--databases", f"{database.name}*")

    found = leaks(home, *both, "--fail")
    tolerated = leaks(home, *both, "--max", "3")
    as_json = leaks(home, *both, "--format", "json")
    missing = leaks(home, *both[:3], f"{database.name}*,nowhere", "--max", "3")

    assert (found.returncode, tolerated.returncode, missing.returncode) == (1, 0, 4)
    assert "\n\n3 leaked rows in 1 of 2 databases\nClean: 1 database; --verbose names it" in found.stdout
    assert "nowhere        no such database" in missing.stdout
    verbose = leaks(home, *both, "--verbose").stdout
    rows = [line.split() for line in verbose.splitlines()]
    assert [second.name, "3", "0", "0", "public.users"] in rows
    assert database.name not in [row[0] for row in rows if row]
    assert f"== {second.name} ==\n\nTable" in verbose
    assert f"Clean: 1 database: {database.name}\n" in verbose
    document = json.loads(as_json.stdout)
    assert document["schema"] == "pgwatch-tests.leaks-of-databases/1"
    assert [one["database"] for one in document["databases"]] == [database.name, second.name]
    assert [one["schema"] for one in document["databases"]] == ["pgwatch-tests.leaks/1"] * 2
    assert (document["total"], document["complete"], document["not_checked"]) == (3, True, [])
    for form in ("csv", "markdown", "github", "junit"):
        assert second.name in leaks(home, *both, "--format", form).stdout


def test_interrupted_over_many_databases(
    owner: Connection[TupleRow], server: EmbeddedServer, database: Database, second: Database, home: Path
) -> None:
    make_slow_table(owner, "slow")
    with subprocess.Popen(
        [*COMMAND, "--dsn", server.dsn(), "--databases", f"{database.name}*"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(),
    ) as process:
        wait_until(lambda: counting(owner))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, stdout, stderr.strip()) == (130, "", "interrupted")
    # The server was told, though the program didn't wait for its answer.
    wait_until(lambda: not counting(owner), timeout_s=30)


@pytest.mark.usefixtures("progress_after_a_second")
def test_progress_over_many_databases(
    owner: Connection[TupleRow], server: EmbeddedServer, database: Database, second: Database, home: Path
) -> None:
    make_slow_table(owner, "slow")

    run = leaks(
        *(home, "--dsn", server.dsn(), "--databases", f"{database.name}*", "--jobs", "1"),
        extra={"PGWATCH_COUNT_TIMEOUT": "1.5"},
    )

    assert run.returncode == 0
    assert run.stderr == "pgwatch-tests: checked 0 of 2 databases\n"
    assert "; 1 database not fully checked" in run.stdout
