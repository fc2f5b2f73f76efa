"""A test's own rows go, with what depends on them; nobody else's, and no real ones."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.leases import LEASE_KEY, run_lease
from pgwatch_tests.postgres.sweep_lock import LOCK_KEY
from pgwatch_tests.testing import (
    RowsStayError,
    acleanup_run,
    acleanup_test,
    cleaned_run,
    cleaned_test,
    cleanup_run,
    cleanup_test,
    run,
    run_id,
    unique_email,
    unique_id,
)
from pgwatch_tests.testing.current_test import Owner, running
from pgwatch_tests.testing.findings import Finding, listen
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

TABLES = """
    CREATE TABLE users (id serial PRIMARY KEY, email text);
    CREATE TABLE bookings (id serial PRIMARY KEY, user_id int NOT NULL REFERENCES users, reference text);
    CREATE TABLE notes (id serial PRIMARY KEY, booking_id int REFERENCES bookings);
    INSERT INTO users (email) VALUES ('real@example.org');
"""
MINE, OTHER = "tests/test_a.py::test_mine", "tests/test_a.py::test_other"


@dataclass(frozen=True)
class Rows:
    """Writes rows, each test's under its hash."""

    owner: Connection[TupleRow]

    def add(self, test: str) -> int:
        """Adds a user with a booking and a note on it. Returns the user's id."""
        with running(Owner("test", test)):
            email, reference = unique_email("parent"), unique_id("booking")
        [user] = self.one("INSERT INTO users (email) VALUES (%s) RETURNING id", email)
        [booking] = self.one(
            "INSERT INTO bookings (user_id, reference) VALUES (%s, %s) RETURNING id", user, reference
        )
        self.owner.execute("INSERT INTO notes (booking_id) VALUES (%s)", (booking,))
        return int(user)

    def one(self, statement: str, *parameters: object) -> TupleRow:
        """Returns the one row."""
        row = self.owner.execute(statement.encode(), parameters).fetchone()
        assert row is not None
        return row

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of users, bookings and notes."""
        return self.one(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM bookings), "
            "(SELECT count(*) FROM notes)"
        )


@pytest.fixture
def rows(owner: Connection[TupleRow]) -> Rows:
    """A real user, and nobody else."""
    owner.execute(TABLES)
    return Rows(owner)


REMOVED = {"public.users": 1, "public.bookings": 1, "public.notes": 1}


def test_a_test_takes_its_own_rows_with_what_depends_on_them(rows: Rows, database: Database) -> None:
    rows.add(MINE)
    rows.add(OTHER)
    assert cleanup_test(database.dsn, test=MINE).removed == REMOVED
    assert rows.counts == (2, 1, 1)
    again = cleanup_test(database.dsn, test=MINE)
    assert (again.removed, again.staying, again.not_checked) == ({}, (), ())


def test_rows_of_a_test_that_set_the_clock_go_as_well(rows: Rows, database: Database) -> None:
    rows.owner.execute(
        "ALTER TABLE users ADD created_at timestamptz; ALTER TABLE notes ADD created_at timestamptz"
    )
    rows.add(MINE)
    rows.owner.execute(
        "UPDATE users SET created_at = '2099-01-01'; UPDATE notes SET created_at = '2099-01-01'"
    )
    assert cleanup_test(database.dsn, test=MINE).removed == REMOVED


def test_the_test_that_runs_is_the_one_whose_rows_go(rows: Rows, database: Database) -> None:
    with running(Owner("test", OTHER)):
        rows.add(MINE)
        assert cleanup_test(database.dsn).removed == {}
        rows.add(OTHER)
        assert cleanup_test(database.dsn).removed == REMOVED
    with (
        running(Owner("fixture", "fixture users [session]")),
        pytest.raises(ConfigurationError, match="no test runs"),
    ):
        cleanup_test(database.dsn)


def test_a_living_run_takes_its_own_rows_beside_a_sweep(rows: Rows, database: Database) -> None:
    with run(database.dsn) as of_mine:
        rows.add(MINE)
        assert of_mine == run_id()
        with psycopg.connect(database.dsn) as sweeping:
            sweeping.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
            assert cleanup_test(database.dsn, test=MINE).removed == REMOVED
        rows.add(MINE)
        rows.add(OTHER)
        with run(database.dsn, "0a1b2c3d"):
            rows.add(OTHER)
            assert cleanup_test(database.dsn, test=MINE).removed == {}
        # Neither has another run anything to do with it.
        assert cleanup_run(database.dsn, run=of_mine).removed == dict.fromkeys(REMOVED, 2)
    assert rows.counts == (2, 1, 1)
    assert cleanup_run(database.dsn).removed == {}
    assert cleanup_run(database.dsn, run="0a1b2c3d").removed == REMOVED
    assert rows.counts == (1, 0, 0)


def test_the_rows_of_another_living_run_stay(
    rows: Rows, database: Database, owner: Connection[TupleRow]
) -> None:
    with run(database.dsn, "0a1b2c3d"):
        rows.add(OTHER)
    # As a lease that another process holds.
    owner.execute(
        queries.load("leases/take").encode(), {"lease_key": LEASE_KEY, "name": run_lease("0a1b2c3d")}
    )
    outcome = cleanup_run(database.dsn, run="0a1b2c3d")
    assert outcome.removed == {}
    assert {one.reason for one in outcome.staying} == {"its run's lease is held"}
    assert rows.counts == (2, 1, 1)


def test_rows_that_hang_together_with_others_stay_and_it_is_told(rows: Rows, database: Database) -> None:
    user = rows.add(MINE)
    with running(Owner("test", OTHER)):
        reference = unique_id("booking")
    rows.owner.execute("INSERT INTO bookings (user_id, reference) VALUES (%s, %s)", (user, reference))
    outcome = cleanup_test(database.dsn, test=MINE)
    assert "rows of another run or test refer to it" in {one.reason for one in outcome.staying}
    rows.owner.execute("UPDATE bookings SET reference = 'A-1000' WHERE reference = %s", (reference,))
    with pytest.raises(RowsStayError, match="users"), cleaned_test(database.dsn, test=MINE):
        pass
    assert rows.one("SELECT count(*) FROM bookings WHERE reference = 'A-1000'") == (1,)


def test_a_table_that_cant_be_searched_is_told_and_fails_nothing(rows: Rows, database: Database) -> None:
    rows.add(MINE)
    told: list[Finding] = []
    undo = listen(told.append)
    try:
        with psycopg.connect(database.dsn) as other:
            other.execute("LOCK TABLE users")
            with cleaned_test(database.dsn, test=MINE):
                pass
    finally:
        undo()
    assert [(one.kind, one.fails) for one in told] == [("not_checked", False)]
    assert "may stay that weren't found: public.users: locked" in told[0].reason
    assert rows.counts[0] == 2


def test_a_database_that_is_not_for_tests_is_refused(server: EmbeddedServer) -> None:
    with pytest.raises(RefusedError, match="one of the server's own databases"):
        cleanup_test(server.dsn(), test=MINE)


async def test_blocks_and_asynchronous_forms(rows: Rows, database: Database) -> None:
    with cleaned_test(database.dsn, test=MINE):
        rows.add(MINE)
    with cleaned_run(database.dsn):
        rows.add(MINE)
    async with cleaned_test(database.dsn, test=MINE), cleaned_run(database.dsn):
        rows.add(MINE)
        rows.add(OTHER)
    assert rows.counts == (1, 0, 0)
    rows.add(MINE)
    assert (await acleanup_test(database.dsn, test=MINE)).removed == REMOVED
    rows.add(OTHER)
    assert (await acleanup_run(database.dsn)).removed == REMOVED


SUITE = """
    import os
    import psycopg
    import pytest
    from pgwatch_tests.testing import unique_email

    def add():
        with psycopg.connect(os.environ["PGWATCH_DSN"]) as connection:
            connection.execute("INSERT INTO users (email) VALUES (%s)", (unique_email("parent"),))
            return connection.execute("SELECT count(*) FROM users").fetchone()[0]

    @pytest.mark.parametrize("number", range(2))
    def test_own(number, cleanup_test):
        add()
        add()
        assert cleanup_test().removed == {"public.users": 2}
        add()

    @pytest.mark.parametrize("number", range(2))
    def test_of_the_run(number, cleanup_run):
        add()
"""


def test_fixtures(
    rows: Rows, database: Database, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(SUITE)
    monkeypatch.setenv("PGWATCH_DSN", database.dsn)
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=4)
    assert rows.counts == (1, 0, 0)


WITH_THE_PLUGIN = """
    import os
    import psycopg
    from pgwatch_tests.testing import unique_email
    from pgwatch_tests.testing.current_test import Owner, running

    def write(*statements):
        with psycopg.connect(os.environ["PGWATCH_DSN"]) as connection:
            for statement in statements:
                connection.execute(statement)

    def test_own(cleanup_test):
        with running(Owner("test", "test_other.py::test_other")):
            other = unique_email("parent")
        write(
            "INSERT INTO users (email) VALUES ('mine@example.org')",
            "INSERT INTO bookings (user_id, reference) SELECT id, 'mine' FROM users WHERE email LIKE 'mine%'",
            f"INSERT INTO users (email) VALUES ('{other}')",
        )
        write("INSERT INTO prices VALUES (60, 60)")
        write("INSERT INTO counted VALUES (2, 0)", "UPDATE counted SET number = 1 WHERE id = 1")
        write("UPDATE users SET email = 'changed@example.org' WHERE id = 1")
        removed = cleanup_test().removed
        with psycopg.connect(os.environ["PGWATCH_DSN"]) as connection:
            has_counters = connection.info.server_version >= 150000
        expected = {"public.users": 1, "public.bookings": 1}
        assert removed == expected | ({"public.prices": 1} if has_counters else {})
"""


def test_with_the_plugin_rows_go_by_their_transactions(
    rows: Rows, database: Database, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.owner.execute(
        "CREATE TABLE prices (minutes int PRIMARY KEY, amount int); INSERT INTO prices VALUES (45, 45);"
        "CREATE TABLE counted (id int PRIMARY KEY, number int); INSERT INTO counted VALUES (1, 0)"
    )
    pytester.makepyfile(WITH_THE_PLUGIN)
    monkeypatch.setenv("PGWATCH_DSN", database.dsn)
    pytester.runpytest_subprocess("-n", "0", "--pgwatch=warn").assert_outcomes(passed=1)
    # A real row that the test changed stays, and so does one with another test's hash.
    assert rows.one("SELECT count(*) FILTER (WHERE id = 1), count(*), count(DISTINCT email) FROM users") == (
        *(1, 2, 2),
    )
    assert rows.one("SELECT count(*) FROM counted") == (2,)
    assert rows.one("SELECT count(*) FROM prices WHERE minutes = 45") == (1,)


def test_the_run_fails_where_its_rows_stay(
    rows: Rows, database: Database, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.owner.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; "
        "CREATE TRIGGER keep BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    pytester.makepyfile(SUITE)
    monkeypatch.setenv("PGWATCH_DSN", database.dsn)
    done = pytester.runpytest_subprocess("-n", "0", "-k", "of_the_run")
    done.assert_outcomes(passed=2)
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*rows of this run stay*", "rows stay: 2 of public.users (*"])
