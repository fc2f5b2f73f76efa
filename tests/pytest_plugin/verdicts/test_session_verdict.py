"""What is left in the end: by other processes, by the killed, by commits without a known id; lost rows."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from tests.pytest_plugin.suites import run_suite, told
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

TABLES = """
    CREATE TABLE users (id serial PRIMARY KEY, email text);
    CREATE TABLE other (id serial PRIMARY KEY, email text);
    CREATE TABLE holidays (id int PRIMARY KEY, name text);
    CREATE TABLE prices (minutes int PRIMARY KEY, amount int);
    INSERT INTO holidays VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO prices VALUES (45, 45), (60, 60);
"""
IMPORTS = """
    import os, signal, subprocess, sys
    import psycopg, pytest
    from conftest import DSN, write
    from pgwatch_tests.testing import unique_email
"""
SUITE = """
    PROGRAM = (
        "import sys, psycopg;"
        "psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2], sys.argv[3:])"
    )

    def run(*values):
        statement = "INSERT INTO users (email) VALUES " + ", ".join("(%s)" for _ in values)
        subprocess.run([sys.executable, "-c", PROGRAM, DSN, statement, *values], check=True)

    def test_starts_a_program():
        run(unique_email("parent"), unique_email("child"))

    def test_wipes(conn):
        write(conn, "DELETE FROM holidays")

    def test_changes(conn):
        write(conn, "UPDATE prices SET amount = amount + 5 WHERE minutes = 45")

    def test_changes_and_restores(conn):
        write(conn, "UPDATE prices SET amount = 0 WHERE minutes = 60")
        write(conn, "UPDATE prices SET amount = 60 WHERE minutes = 60")

    def test_makes_its_own_and_cleans_up(conn):
        write(conn, "INSERT INTO prices VALUES (90, 90)")
        write(conn, "DELETE FROM prices WHERE minutes = 90")

    def test_of_another_run():
        run("parent-1717171717171-t1a2b3c4d-r00000000-x@test.example.com")
"""
PARALLEL = """
    def test_in_autocommit():
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("INSERT INTO users (email) VALUES ('a')")

    def test_in_a_savepoint(conn):
        with conn.transaction(), conn.transaction():
            conn.execute("INSERT INTO other (email) VALUES ('b')")

    def test_killed(conn):
        write(conn, "INSERT INTO users (email) VALUES ('c')")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_rest_is_told_in_the_end(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(TABLES)
    done = run_suite(pytester, database.dsn, IMPORTS + SUITE)
    no_other = (
        "of those that were there before the first test; no other test deletes or changes any, as far as"
    )
    assert told(done) == {
        "test_starts_a_program": [
            "left 2 rows in public.users (id=1, id=2), known by the test's hash in them"
        ],
        "test_wipes": [f"public.holidays: all 3 rows are gone, {no_other} statements say"],
        "test_changes": [
            f"public.prices: 1 of 2 rows is changed (such as minutes=45), {no_other} statements say"
        ],
    }
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.assert_outcomes(passed=6)


def test_beside_other_workers(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(TABLES)
    done = run_suite(pytester, database.dsn, IMPORTS + PARALLEL, "-n", "2")
    # Which worker runs which test depends on the machine's load.
    found = {name.partition(" [")[0]: lines for name, lines in told(done).items()}
    assert found["nobody known for a fact"] == [
        "left over: 1 row in public.users (id=1), by test_it.py::test_in_autocommit, or by nobody of this "
        "run (autocommit writes have no transaction to tell by)"
    ]
    assert (
        "→ to know whose they are, run once without -n, make values with unique_email or unique_id, or "
        "write in a transaction"
    ) in done.stdout.str()
    assert found["test_in_a_savepoint"] == ["left 1 row in public.other (id=1)"]
    assert found["test_killed"] == ["left 1 row in public.users (id=2)"]


def test_a_database_that_is_reached_in_two_ways_is_one(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE users (id serial PRIMARY KEY, email text)")
    suite = """
        import pytest
        from conftest import write

        @pytest.mark.pgwatch_ignore("wanted")
        def test_leaves(conn):
            write(conn, "INSERT INTO users (email) VALUES ('a@test.example.com')")
    """
    host = conninfo_to_dict(database.dsn)["host"]
    other_way = make_conninfo(database.dsn, host=f"{host}/.")
    done = run_suite(pytester, database.dsn, suite, environment={"PGWATCH_DSN": other_way})

    done.stdout.fnmatch_lines(["ignored (wanted): *::test_leaves: left 1 row in public.users (id=1)"])
    assert told(done) == {}
    assert done.ret == 0
