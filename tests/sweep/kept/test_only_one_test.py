"""Only what a run or a test left, and not what another's rows hang on."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.identity.value_tokens import token
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import OLD_MS, deleted, ids, kept, mail, swept_thoroughly

OURS, OTHERS = "tests/test_a.py::test_ours", "tests/test_a.py::test_others"
RUN, OTHER_RUN = "0a1b2c3d", "ffffffff"


def value(test: str, run: str = "", prefix: str = "booking") -> str:
    """A marked value of a test, and perhaps of a run."""
    return f"{prefix}_{OLD_MS}_{token(test)}" + (f"_r{run}_x1" if run else "_x1")


@pytest.fixture
def shop(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Users with bookings."""
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, name text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users, code text)"
    )
    return owner


def test_only_a_tests_rows(database: Database, shop: Connection[TupleRow]) -> None:
    shop.execute(
        "INSERT INTO users VALUES (1, %s), (2, %s), (3, %s), (4, 'real')",
        [value(OURS), value(OTHERS), mail()],
    )
    shop.execute(
        "INSERT INTO bookings VALUES (1, 1, NULL), (2, 2, %s), (3, 4, %s), (4, 4, %s), (5, 3, %s)",
        [value(OURS), value(OURS).upper(), f"x {value(OURS)} x", mail()],
    )

    report = swept_thoroughly(database.dsn, test=OURS)

    assert report.kinds == ("rows",)
    # A booking of ours goes from another's user. What is longer than a marker bears none.
    assert ids(shop, "users") == [1, 2, 3, 4]
    assert ids(shop, "bookings") == [1, 4, 5]
    assert kept(report) == {("users", "shared_with_real_data"): 1}
    assert deleted(report) == {"bookings": (2, 0)}


def test_what_rows_of_another_test_hang_on_stays(database: Database, shop: Connection[TupleRow]) -> None:
    shop.execute(
        "INSERT INTO users VALUES (1, %s), (2, %s), (3, %s)", [value(OURS), value(OURS), value(OTHERS)]
    )
    shop.execute(
        "INSERT INTO bookings VALUES (1, 1, %s), (2, 1, %s), (3, 2, %s), (4, 3, %s), (5, 3, %s)",
        [value(OURS), value(OTHERS), value(OURS), value(OURS), value(OTHERS)],
    )

    report = swept_thoroughly(database.dsn, test=OURS)

    assert deleted(report) == {"users": (1, 0), "bookings": (2, 0)}
    assert (ids(shop, "users"), ids(shop, "bookings")) == ([1, 3], [1, 2, 5])
    assert kept(report) == {("users", "shared_with_real_data"): 1, ("bookings", "shared_with_real_data"): 2}


def test_what_hangs_together_through_another_tests_row_stays(
    database: Database, shop: Connection[TupleRow]
) -> None:
    shop.execute("CREATE TABLE items (id int PRIMARY KEY, booking_id int REFERENCES bookings, code text)")
    shop.execute("INSERT INTO users VALUES (1, %s)", [value(OURS)])
    shop.execute("INSERT INTO bookings VALUES (1, 1, %s)", [value(OTHERS)])
    shop.execute("INSERT INTO items VALUES (1, 1, %s)", [value(OURS)])

    report = swept_thoroughly(database.dsn, test=OURS)

    assert report.deleted == ()
    assert kept(report) == {
        ("users", "shared_with_real_data"): 1,
        ("bookings", "shared_with_real_data"): 1,
        ("items", "shared_with_real_data"): 1,
    }


def test_only_a_runs_rows(database: Database, shop: Connection[TupleRow]) -> None:
    values = [
        value(OURS, RUN),
        value(OTHERS, RUN),
        value(OURS, OTHER_RUN),
        value(OURS),
        f"user_{OLD_MS}_r{RUN}",
    ]
    shop.execute("INSERT INTO users VALUES (1, %s), (2, %s), (3, %s), (4, %s), (5, %s)", values)

    both = swept_thoroughly(database.dsn, run=RUN, test=OURS)
    report = swept_thoroughly(database.dsn, run=RUN)

    assert deleted(both) == {"users": (1, 0)}
    assert deleted(report) == {"users": (2, 0)}
    assert ids(shop, "users") == [3, 4]
