"""`pgwatch-tests baseline` before a suite and `leaks --since` after it, as pipelines run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.cli.running import pgwatch
from tests.servers.sessions import Connect, Database


def test_a_gate_around_a_suite(owner: Connection[TupleRow], database: Database, tmp_path: Path) -> None:
    owner.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
    owner.execute("INSERT INTO users VALUES (1, 'before@test.example.com')")

    taken = pgwatch(tmp_path, "baseline", "-d", database.dsn, "-o", "baseline.json")
    since = ("leaks", "-d", database.dsn, "--since", "baseline.json", "--fail")
    clean = pgwatch(tmp_path, *since)
    owner.execute("INSERT INTO users VALUES (2, 'x@example.com')")
    unmarked = pgwatch(tmp_path, *since)
    any_row = pgwatch(tmp_path, *since, "--any")
    as_json = pgwatch(tmp_path, *since, "--any", "--format", "json")

    assert (taken.returncode, taken.stdout, taken.stderr) == (0, "", "")
    assert json.loads((tmp_path / "baseline.json").read_text())["schema"] == "pgwatch-tests.baseline/1"
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.startswith("no leaked rows\n")
    assert "1 marked row was there before" in clean.stdout
    assert "Compared with the baseline of 20" in clean.stdout
    assert unmarked.returncode == 0
    assert any_row.returncode == 1
    assert "1 new or changed row in 1 table" in any_row.stdout
    assert "id=2" in any_row.stdout
    assert "for: any row" in any_row.stdout
    assert "Deleted rows can't be seen" in any_row.stdout
    document = json.loads(as_json.stdout)
    assert (document["mode"], document["total"], document["markers"]) == ("any", 1, [])
    assert document["tables"][0]["samples"] == ["id=2"]
    assert document["baseline"]["way"] == "snapshot"
    assert document["baseline"]["detail"]


def test_what_a_schema_left_behind(owner: Connection[TupleRow], database: Database, tmp_path: Path) -> None:
    for number in range(8):
        owner.execute(f"CREATE SEQUENCE s{number}".encode())
    pgwatch(tmp_path, "baseline", "-d", database.dsn, "-o", "baseline.json")
    owner.execute("CREATE VIEW stray AS SELECT 1 AS i")
    owner.execute("SELECT nextval('s' || i) FROM generate_series(0, 7) AS i")
    since = ("leaks", "-d", database.dsn, "--since", "baseline.json")

    reported = pgwatch(tmp_path, *since, "--fail")
    failing = pgwatch(tmp_path, *since, "--fail-on", "objects")
    others = pgwatch(tmp_path, *since, "--kinds", "schema", "--fail-on", "rows")
    without = pgwatch(tmp_path, "leaks", "-d", database.dsn, "--fail-on", "objects")
    every = pgwatch(tmp_path, "leaks", "-d", database.dsn, "--kinds", "all")

    assert (reported.returncode, failing.returncode, others.returncode) == (0, 1, 0)
    assert "new object      view public.stray" in reported.stdout
    assert reported.stdout.count("unused → 1") == 5
    assert "… and 3 more moved sequences" in reported.stdout
    assert "left over: 1 new object, 8 moved sequences" in reported.stdout
    assert "not looked for: " in others.stdout
    assert "new objects, moved sequences" in others.stdout.split("not looked for: ")[1]
    assert without.returncode == 2
    assert "object needs a baseline: add --since FILE" in without.stderr
    assert every.returncode == 0
    assert "not looked for: new objects, moved sequences, tables with lost or changed rows" in every.stdout


def test_rows_that_are_gone(owner: Connection[TupleRow], database: Database, tmp_path: Path) -> None:
    owner.execute("CREATE TABLE countries (code text PRIMARY KEY, name text)")
    owner.execute("INSERT INTO countries SELECT 'c' || i, 'x' FROM generate_series(1, 250) AS i")
    owner.execute("CREATE TABLE log AS SELECT 1 AS i")
    owner.execute("CREATE FOREIGN DATA WRAPPER nowhere")
    owner.execute("CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere")
    owner.execute("CREATE FOREIGN TABLE far (i int) SERVER nowhere")

    taken = pgwatch(
        tmp_path, "baseline", "-d", database.dsn, "--content", "--ignore", "public.log", "-o", "b.json"
    )
    owner.execute("DELETE FROM countries WHERE code IN ('c1', 'c2', 'c3')")
    owner.execute("UPDATE countries SET name = 'y' WHERE code = 'c9'")
    owner.execute("TRUNCATE log")
    since = ("leaks", "-d", database.dsn, "--since", "b.json")
    reported, failing = (
        pgwatch(tmp_path, *since, "--fail"),
        pgwatch(tmp_path, *since, "--fail-on", "lost_rows"),
    )
    pgwatch(tmp_path, "baseline", "-d", database.dsn, "-o", "b.json")
    without = pgwatch(tmp_path, *since)
    asked = pgwatch(tmp_path, *since, "--fail-on", "lost_rows")

    assert (taken.returncode, taken.stderr) == (
        0,
        "no content kept of public.far: foreign table: not checked\n",
    )
    assert (reported.returncode, failing.returncode) == (0, 1)
    assert "3 of 250 rows are gone, 1 changed (such as code=c9)" in reported.stdout
    assert "left over: 1 table with lost or changed rows" in reported.stdout
    assert "public.log" not in reported.stdout.partition("No strings to search")[0]
    assert "tables with lost or changed rows" in without.stdout.split("not looked for: ")[1]
    assert asked.returncode == 4
    assert "this baseline doesn't hold the content of tables" in asked.stdout


def test_to_stdout(database: Database, tmp_path: Path) -> None:
    run = pgwatch(tmp_path, "baseline", "-d", database.dsn)

    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout)["server"]["database"] == database.name


@pytest.mark.parametrize("arguments", [["--any"], ["--settle", "5"], ["--any", "--settle", "1s"]])
def test_what_needs_a_baseline(database: Database, tmp_path: Path, arguments: list[str]) -> None:
    run = pgwatch(tmp_path, "leaks", "-d", database.dsn, *arguments)

    assert (run.returncode, run.stdout) == (2, "")
    assert "--any and --settle need --since FILE" in run.stderr


def test_another_file_is_refused(database: Database, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"schema": "pgwatch-tests.leaks/1"}')

    run = pgwatch(tmp_path, "leaks", "-d", database.dsn, "--since", "other.json")
    none = pgwatch(tmp_path, "leaks", "-d", database.dsn, "--since", "none.json")

    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (2, "", 1)
    assert "it is a 'pgwatch-tests.leaks/1' document" in run.stderr
    assert (none.returncode, none.stdout, len(none.stderr.splitlines())) == (2, "", 1)


def test_another_databases_baseline_is_refused(database: Database, connect: Connect, tmp_path: Path) -> None:
    elsewhere = connect(database="postgres").info.dsn
    pgwatch(tmp_path, "baseline", "-d", elsewhere, "-o", "baseline.json")

    run = pgwatch(tmp_path, "leaks", "-d", database.dsn, "--since", "baseline.json", "--fail")

    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (2, "", 1)
    assert "is of the database 'postgres'" in run.stderr


def test_locked_catalogs_are_no_baseline(database: Database, connect: Connect, tmp_path: Path) -> None:
    connect().execute("LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE")

    run = pgwatch(tmp_path, "baseline", "-d", database.dsn, "-o", "baseline.json")

    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (4, "", 1)
    assert not (tmp_path / "baseline.json").exists()
