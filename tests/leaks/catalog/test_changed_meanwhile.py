"""Tables that somebody changes while the scan counts: counted as they are, or told as not checked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import count, cycle
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.leaks.baseline.baseline import is_empty
from pgwatch_tests.leaks.baseline.baseline_reader import take
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.catalog import discovery
from pgwatch_tests.leaks.markers.value_forms import Form
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.postgres.sessions.yielding_session import YieldingSession
from tests.leaks.baseline.table_changes import changing
from tests.leaks.scanning import RunningScan, rows, settings
from tests.servers.sessions import Connect, Database
from tests.waiting import wait_until

_WAITS = "SELECT count(*) FROM pg_lock_status() WHERE NOT granted"

# What there is, which table is locked until all is done, and what is done meanwhile.
PLAYS: dict[str, tuple[Sequence[str], str, Sequence[str]]] = {
    "partition detached": (
        [
            "CREATE TABLE p (a text) PARTITION BY LIST (a)",
            "CREATE TABLE p1 PARTITION OF p DEFAULT",
            "INSERT INTO p VALUES ('a@test.example.com')",
        ],
        "p",
        ["ALTER TABLE p DETACH PARTITION p1"],
    ),
    "table attached": (
        [
            "CREATE TABLE p (a text) PARTITION BY LIST (a)",
            "CREATE TABLE q (a text)",
            "INSERT INTO q VALUES ('a@test.example.com')",
        ],
        "p",
        ["ALTER TABLE p ATTACH PARTITION q DEFAULT"],
    ),
    "renamed, another of its name": (
        ["CREATE TABLE t (a text)", "INSERT INTO t VALUES ('a@test.example.com')"],
        "t",
        ["ALTER TABLE t RENAME TO t_old", "CREATE TABLE t (a text)"],
    ),
    "moved, another of its name": (
        ["CREATE SCHEMA s", "CREATE TABLE t (a text)", "INSERT INTO t VALUES ('a@test.example.com')"],
        "t",
        ["ALTER TABLE t SET SCHEMA s", "CREATE TABLE t (a text)"],
    ),
    "column renamed, another of its name": (
        ["CREATE TABLE t (a text, b jsonb)", "INSERT INTO t VALUES ('a@test.example.com', '{}')"],
        "t",
        ["ALTER TABLE t RENAME a TO x", "ALTER TABLE t ADD a text"],
    ),
    "jsonb becomes text[]": (
        ["CREATE TABLE t (a jsonb)", "INSERT INTO t VALUES ('[\"a@test.example.com\"]')"],
        "t",
        ["ALTER TABLE t ALTER a TYPE text[] USING ARRAY[a->>0]"],
    ),
    "text becomes jsonb": (
        ["CREATE TABLE t (a text)", "INSERT INTO t VALUES ('a@test.example.com')"],
        "t",
        ["ALTER TABLE t ALTER a TYPE jsonb USING to_jsonb(a)"],
    ),
    "int becomes text": (
        ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "CREATE TABLE locked (a text)"],
        "locked",
        ["ALTER TABLE t ALTER a TYPE text USING 'a@test.example.com'"],
    ),
    "made meanwhile": (
        ["CREATE TABLE t (a text)"],
        "t",
        ["CREATE TABLE new (a text)", "INSERT INTO new VALUES ('a@test.example.com')"],
    ),
    "schema renamed, another of its name": (
        ["CREATE SCHEMA s", "CREATE TABLE s.t (a text)", "INSERT INTO s.t VALUES ('a@test.example.com')"],
        "s.t",
        ["ALTER SCHEMA s RENAME TO s_old", "CREATE SCHEMA s", "CREATE TABLE s.t (a text)"],
    ),
    "a view in its place": (
        ["CREATE TABLE t (a text)", "INSERT INTO t VALUES ('a@test.example.com')"],
        "t",
        ["ALTER TABLE t RENAME TO t_old", "CREATE VIEW t AS SELECT 'x'::text AS a"],
    ),
    "a field of a composite": (
        [
            "CREATE TYPE c AS (a int, b text)",
            "CREATE TABLE t (c c)",
            "INSERT INTO t VALUES (ROW(1, 'a@test.example.com'))",
        ],
        "t",
        ["ALTER TYPE c RENAME ATTRIBUTE b TO d", "ALTER TYPE c ADD ATTRIBUTE b text"],
    ),
}


@pytest.mark.parametrize("play", PLAYS)
@pytest.mark.parametrize("way", ["marked", "since", "any"])
def test_a_row_that_is_there_all_along_is_counted(
    connect: Connect, database: Database, tmp_path: Path, play: str, way: str
) -> None:
    prepared, locked, changes = PLAYS[play]
    owner = connect(autocommit=True)
    since = None
    if way != "marked":
        since = Since(take(settings(database.dsn)), any_rows=way == "any")
    run(owner, prepared)

    report = report_while(owner, database, locked, changes, since)

    assert report.complete
    assert sum(rows(report).values()) == 1


def report_while(
    owner: Connection[TupleRow],
    database: Database,
    locked: str,
    changes: Sequence[str],
    since: Since | None = None,
) -> LeakReport:
    """The report of a scan that waits for a lock while something is changed."""
    run(owner, ["BEGIN", f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE"])
    running = RunningScan(settings(database.dsn, lock_timeout_s=10), since)
    with psycopg.connect(database.dsn, autocommit=True) as observer:
        wait_until(lambda: observer.execute(_WAITS).fetchone() != (0,), message="the count waits")
    run(owner, [*changes, "COMMIT"])
    return running.result()


def run(owner: Connection[TupleRow], statements: Sequence[str]) -> None:
    for statement in statements:
        owner.execute(statement.encode())


@pytest.mark.parametrize("seed", range(2))
def test_random_changes_never_make_a_clean_report(database: Database, seed: int) -> None:
    with changing(database.dsn, seed) as changes:
        while changes.made < 30 and changes.failed is None:
            report = scan(settings(database.dsn, lock_timeout_s=5))

            assert report.total or not report.complete, changes.made


def test_a_type_that_changes_each_time_the_tables_are_looked_for(
    connect: Connect, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reads of columns and of types: then no column is of that type any more."""
    owner = connect(autocommit=True)
    run(owner, ["CREATE TABLE u (a text)", "CREATE TABLE t (a json)"])
    run(owner, ["""INSERT INTO t VALUES ('["a@test.example.com"]')"""])
    forms, types = discovery._forms, cycle(["jsonb", "json"])

    def changing_forms(connection: Connection[Row], found: Sequence[discovery._TableRow]) -> dict[int, Form]:
        changed_to = next(types)
        run(owner, [f"ALTER TABLE t ALTER a TYPE {changed_to} USING a::{changed_to}"])
        return forms(connection, found)

    monkeypatch.setattr(discovery, "_forms", changing_forms)

    report = scan(settings(database.dsn))

    assert report.total or not report.complete


@pytest.mark.parametrize(("times", "complete"), [(1, True), (3, True), (9, False)])
def test_tables_that_are_made_each_time_the_tables_are_looked_for(
    connect: Connect, database: Database, monkeypatch: pytest.MonkeyPatch, times: int, complete: bool
) -> None:
    """Though they hold no strings themselves: what else was changed meanwhile isn't known either."""
    owner = connect(autocommit=True)
    run(owner, ["CREATE TABLE t (a text)"])
    forms, number = discovery._forms, count()

    def making_tables(connection: Connection[Row], found: Sequence[discovery._TableRow]) -> dict[int, Form]:
        if (made := next(number)) < times:
            run(owner, [f"CREATE TABLE made_{made} (i int)"])
        return forms(connection, found)

    monkeypatch.setattr(discovery, "_forms", making_tables)

    report = scan(settings(database.dsn))

    assert report.complete == complete
    assert [one.table for one in report.skipped] == ([] if complete else ["*"])


@pytest.mark.parametrize(
    ("snapshot", "expected"), [("740:740:", True), ("740:742:740", False), ("740:742:", False)]
)
def test_of_an_empty_snapshot_nothing_is_under_way(snapshot: str, expected: bool) -> None:
    """The last one is a standby's, which doesn't list what is under way."""
    assert is_empty(snapshot) == expected


def test_a_scan_asks_for_little(
    connect: Connect, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the tables and for their rows; and what changed meanwhile only if anything was written."""
    connect(autocommit=True).execute("CREATE TABLE t (a text); CREATE TABLE u (a text)")
    asked = 0
    running = YieldingSession.running

    def counted(session: YieldingSession, statements: int = 1) -> AbstractContextManager[None]:
        nonlocal asked
        asked += 1
        return running(session, statements)

    monkeypatch.setattr(YieldingSession, "running", counted)

    assert scan(settings(database.dsn)).tables_checked == 2

    # Other tests write at the same time.
    assert asked in (2, 3)
