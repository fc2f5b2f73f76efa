"""Only the rows of one table, with all that depends on them; or only one orphan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepPart, SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.cli.running import pgwatch
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, kept, mail, make, swept, swept_thoroughly


@pytest.fixture
def shop(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Users with bookings, which hang on rooms as well; notes hang on nothing."""
    make(
        owner,
        """
        CREATE TABLE users (id int PRIMARY KEY, name text);
        CREATE TABLE rooms (id int PRIMARY KEY, name text);
        CREATE TABLE bookings (
            id int PRIMARY KEY, user_id int REFERENCES users, room_id int REFERENCES rooms, code text
        );
        CREATE TABLE notes (id int PRIMARY KEY, text text);
        INSERT INTO users VALUES (1, MARKED), (2, 'real');
        INSERT INTO rooms VALUES (1, MARKED), (2, 'real');
        INSERT INTO bookings VALUES (1, 1, 1, MARKED), (2, 2, 2, MARKED), (3, 1, 2, MARKED);
        INSERT INTO notes VALUES (1, MARKED);
        """,
    )
    return owner


def test_what_depends_on_a_tables_rows_goes_along(database: Database, shop: Connection[TupleRow]) -> None:
    report = swept_thoroughly(database.dsn, part=SweepPart("rows", "public.users"))

    assert report.part == SweepPart("rows", "public.users")
    assert deleted(report) == {"users": (1, 0), "bookings": (2, 0)}
    # What its bookings hang on is marked, too, but was not asked for: it isn't climbed to.
    assert ids(shop, "rooms") == [1, 2]
    assert (ids(shop, "bookings"), ids(shop, "notes")) == ([2], [1])
    assert kept(report) == {}


def test_a_tables_rows_go_without_what_they_hang_on(database: Database, shop: Connection[TupleRow]) -> None:
    report = swept_thoroughly(database.dsn, part=SweepPart("rows", "public.bookings"))

    assert deleted(report) == {"bookings": (3, 0)}
    assert (ids(shop, "users"), ids(shop, "rooms")) == ([1, 2], [1, 2])


def test_real_rows_of_a_table_that_bears_markers_are_guarded_all_the_same(
    database: Database, shop: Connection[TupleRow]
) -> None:
    shop.execute("INSERT INTO bookings VALUES (4, 1, 2, 'real')")

    report = swept_thoroughly(database.dsn, part=SweepPart("rows", "public.users"))

    assert deleted(report) == {}
    assert ids(shop, "bookings") == [1, 2, 3, 4]
    assert kept(report) == {("users", "shared_with_real_data"): 1, ("bookings", "shared_with_real_data"): 2}


def test_a_young_row_that_depends_on_them_keeps_them(database: Database, shop: Connection[TupleRow]) -> None:
    make(shop, "INSERT INTO bookings VALUES (4, 1, 2, NOW_MARKED)")

    report = swept_thoroughly(database.dsn, part=SweepPart("rows", "public.users"))

    assert deleted(report) == {}
    assert kept(report) == {("users", "too_young"): 1, ("bookings", "too_young"): 3}


def test_a_name_of_no_table_is_told(database: Database, shop: Connection[TupleRow]) -> None:
    report = swept(database.dsn, part=SweepPart("rows", "users"))

    assert (report.planned, report.complete) == ((), False)
    assert "no such table" in report.not_checked[0]
    assert ids(shop, "users") == [1, 2]


def test_the_option(database: Database, shop: Connection[TupleRow], tmp_path: Path) -> None:
    of_users = ("sweep", "-d", database.dsn, "--table", "public.users")
    extra = {"PGWATCH_HISTORY": str(tmp_path / "history.sqlite3")}
    done = pgwatch(tmp_path, *of_users, "--min-age", "0", "--format", "json", extra=extra)

    document = json.loads(done.stdout)
    assert document["part"] == {"kind": "rows", "name": "public.users"}
    assert {(one["table"], one["marked"]) for one in document["planned"]["tables"]} == {
        ("users", 1),
        ("bookings", 2),
    }
    told = pgwatch(tmp_path, *of_users, extra=extra).stdout
    assert "Nothing but rows of public.users and what depends on them" in told
    refused = pgwatch(tmp_path, *of_users, "--only", "schemas", extra=extra)
    assert refused.returncode == 2
    assert "choose among rows" in refused.stderr


def test_only_one_schema(database: Database, shop: Connection[TupleRow]) -> None:
    ours, other = "test_1717171717171_4711_aaaa", "test_1717171717172_4711_bbbb"
    shop.execute(f"CREATE SCHEMA {ours}; CREATE SCHEMA {other}".encode())
    shop.execute("INSERT INTO notes VALUES (2, %s)", [mail()])

    request = SweepRequest(dry_run=False, min_age_s=0.0, part=SweepPart("schemas", ours))
    report = Sweep(Settings(Dsn(database.dsn, "the test")), request).run()

    assert [(one.name, one.removed) for one in report.orphans] == [(ours, True)]
    assert (report.planned, report.kinds) == ((), ("schemas",))
    assert ids(shop, "notes") == [1, 2]
    left = shop.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'test\\_%'").fetchall()
    assert left == [(other,)]
