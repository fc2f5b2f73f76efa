"""Checks of fleets on record: whole, by name, and forgotten with age."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import HistoryError
from pgwatch_tests.history.fleet_checks import FleetChecks
from pgwatch_tests.leaks.model import (
    Attribution,
    LeakReport,
    LeaksOfDatabases,
    Leftover,
    NotChecked,
    Skipped,
    TableLeak,
    Unchecked,
)
from pgwatch_tests.settings.load import Dsn
from tests.history.histories import settings
from tests.servers.sessions import Connect, Database, MakeRole

NOW = datetime.now(UTC)
LEAK = TableLeak(
    *("public", "us\x00ers", "table", ("email",), 7, NOW, None, ("a…",)),
    (Attribution("t.py::test_a", "1 of N", 7, ("a", "b")),),
)
REPORT = LeakReport(
    *(NOW, "18.1", "app", ("test email",), 5, (LEAK,), (Skipped("s", "t", "locked"),), 0.25),
    leftovers=(Leftover("schema", "test_1", age_s=1.5),),
    unchecked=(Unchecked("object", "why"),),
    kinds_checked=("schema", "object"),
    server="ci-1",
)
PART = LeaksOfDatabases(NOW, (REPORT,), (NotChecked("", "gone", "ci-2", 3),), 1.0, ("ci-1", "ci-2"), "1/2")


def test_parts_come_back_as_they_were_and_old_ones_are_forgotten(place: Path | Dsn) -> None:
    checks = FleetChecks.open(replace(settings(place), keep_runs_s=3600.0))
    second = replace(PART, shard="2/2")

    checks.add("nightly", replace(PART, checked_at=NOW - timedelta(hours=2)))
    assert checks.parts("nightly") == ()
    checks.add("nightly", PART)
    checks.add("nightly", second)
    checks.add("other", PART)

    assert checks.parts("nightly") == (PART, second)
    assert checks.parts("other") == (PART,)


def test_a_role_that_may_only_insert_and_read(
    database: Database, owner: Connection[TupleRow], make_role: MakeRole, connect: Connect
) -> None:
    place = Dsn(database.dsn, "PGWATCH_HISTORY")
    old = replace(PART, checked_at=NOW - timedelta(hours=2))
    FleetChecks.open(settings(place)).add("nightly", old)
    role = make_role()
    owner.execute(f"GRANT USAGE ON SCHEMA pgwatch_tests TO {role}".encode())
    owner.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA pgwatch_tests TO {role}".encode())
    restricted = settings(Dsn(connect(user=role).info.dsn, "PGWATCH_HISTORY"))
    checks = FleetChecks.open(replace(restricted, keep_runs_s=3600.0))

    checks.add("nightly", PART)

    # The old one stays: somebody else may forget it.
    assert checks.parts("nightly") == (old, PART)


def test_a_damaged_part_is_told(tmp_path: Path) -> None:
    checks = FleetChecks.open(settings(tmp_path / "h.sqlite3"))
    checks.add("nightly", PART)
    with closing(sqlite3.connect(tmp_path / "h.sqlite3")) as connection, connection:
        connection.execute("UPDATE fleet_checks SET report = '{}'")

    with pytest.raises(HistoryError, match=r"the check 1 of a fleet in .* is damaged, or of another version"):
        checks.parts("nightly")
