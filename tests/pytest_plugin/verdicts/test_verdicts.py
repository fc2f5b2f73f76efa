"""Verdicts on rows: each test's and each fixture's own are named, and nobody else's."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.pytest_plugin.suites import run_suite, told
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

UNCLEAR = "left or changed 1 row in public.accounts (id=1): which of the two isn't known"
TABLES = """
    CREATE TABLE users (id serial PRIMARY KEY, email text);
    CREATE TABLE accounts (id int PRIMARY KEY, balance int);
    INSERT INTO accounts VALUES (1, 0);
    CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$ INSERT INTO users (email) VALUES ('filled') $$;
    CREATE FUNCTION look() RETURNS bigint STABLE LANGUAGE sql AS $$ SELECT count(*) FROM users $$;
"""
SUITE = """
    import threading
    import psycopg, pytest
    from conftest import DSN, write

    def test_cleans_up(conn):
        write(conn, "INSERT INTO users (email) VALUES ('a')")
        write(conn, "DELETE FROM users WHERE email = 'a'")

    def test_leaves(conn):
        write(conn, "INSERT INTO users (email) VALUES ('b'), ('c')", "INSERT INTO accounts VALUES (2, 0)")

    @pytest.mark.pgwatch_ignore("known", "users")
    def test_ignored(conn):
        write(conn, "INSERT INTO users (email) VALUES ('b')")

    def test_rolls_back(conn):
        conn.execute("INSERT INTO users (email) VALUES ('d')")
        conn.rollback()

    def test_updates(conn):
        write(conn, "UPDATE accounts SET balance = balance + 1 WHERE id = 1")
        write(conn, "UPDATE accounts SET balance = balance - 1 WHERE id = 1")

    def test_in_a_savepoint(conn):
        with conn.transaction(), conn.transaction():
            conn.execute("INSERT INTO users (email) VALUES ('e')")

    def test_in_autocommit():
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("INSERT INTO users (email) VALUES ('f')")

    def test_updates_its_own(conn):
        write(conn, "INSERT INTO users (email) VALUES ('g')")
        write(conn, "UPDATE users SET email = 'h' WHERE email = 'g'")

    @pytest.fixture(scope="module")
    def wide():
        with psycopg.connect(DSN) as conn:
            write(conn, "INSERT INTO users (email) VALUES ('i'), ('left')")
            yield
            write(conn, "DELETE FROM users WHERE email = 'i'")

    def test_uses_the_fixture(wide, conn):
        write(conn, "INSERT INTO users (email) VALUES ('j')")
        write(conn, "DELETE FROM users WHERE email = 'j'")

    def test_changes_what_the_fixture_made(wide, conn):
        write(conn, "UPDATE users SET email = 'k' WHERE email = 'i'")
        write(conn, "UPDATE users SET email = 'i' WHERE email = 'k'")

    STARTED = []

    def test_does_not_wait():
        go = threading.Event()
        def work():
            with psycopg.connect(DSN) as conn:
                go.wait(10)
                write(conn, "INSERT INTO users (email) VALUES ('late')")
        thread = threading.Thread(target=work)
        thread.start()
        STARTED.append((thread, go))

    def test_meanwhile():
        for thread, go in STARTED:
            go.set()
            thread.join()

    def test_makes_a_table():
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("CREATE TABLE made (name text PRIMARY KEY, x int)")
            conn.execute("INSERT INTO made VALUES ('a', 1), ('b', 2)")
            conn.execute("UPDATE made SET x = 3 WHERE name = 'b'")

    def test_makes_a_table_anew():
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("DROP TABLE accounts")
            conn.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int)")
            conn.execute("INSERT INTO accounts VALUES (1, 0)")

    def test_calls_a_function():
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("SELECT look()")
            conn.execute("SELECT fill()")

    def test_calls_a_function_in_a_transaction(conn):
        write(conn, "SELECT fill()")

    def test_nothing():
        pass
"""


def test_each_owner_is_told_what_it_left(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(TABLES)
    done = run_suite(pytester, database.dsn, SUITE)
    assert told(done) == {
        "test_leaves": [
            "left 1 row in public.accounts (id=2)",
            "left 2 rows in public.users (id=2, id=3)",
        ],
        "test_in_a_savepoint": ["left 1 row in public.users (id=6)"],
        "test_in_autocommit": ["left 1 row in public.users (id=7)"],
        "test_updates_its_own": ["left 1 row in public.users (id=8)"],
        "test_does_not_wait": ["wrote 1 row into public.users (id=12) after it had ended"],
        "test_calls_a_function": ["left 1 row in public.users (id=13)"],
        "test_calls_a_function_in_a_transaction": ["left 1 row in public.users (id=14)"],
        "test_makes_a_table": ["left 2 rows in public.made (name=a, name=b)"],
        "test_makes_a_table_anew": [UNCLEAR],
        "ignored": ["test_ignored: left 1 row in public.users (id=4)"],
        "fixture wide [module] of test_it.py": ["left 1 row in public.users (id=10)"],
    }
    done.assert_outcomes(passed=17, errors=7)


OF_A_FIXTURE = """
    import psycopg, pytest
    from conftest import DSN, write

    def insert(autocommit, *values):
        with psycopg.connect(DSN, autocommit=autocommit) as conn:
            for value in values:
                conn.execute("INSERT INTO users (email) VALUES (%s)", (value,))

    @pytest.fixture(scope="module")
    def wide():
        insert(True, "a", "b")
        insert(False, "c")
        yield
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("DELETE FROM users WHERE email = ANY ('{a,b,c}')")

    @pytest.fixture(scope="module")
    def later():
        insert(False, "d")
        yield
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("DELETE FROM users WHERE email = 'd'")

    def test_cleans_up(wide, request):
        insert(True, "e")
        request.getfixturevalue("later")
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute("DELETE FROM users WHERE email = 'e'")

    def test_leaves(wide):
        insert(True, "f")
"""


def test_rows_of_a_fixture_in_autocommit(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(TABLES)
    done = run_suite(pytester, database.dsn, OF_A_FIXTURE)
    assert told(done) == {"test_leaves": ["left 1 row in public.users (id=6)"]}


RESTORED = """
    from conftest import write

    def test_puts_back_what_was_there(conn):
        # The server counts these as well, and with them the table has grown.
        conn.execute("INSERT INTO accounts VALUES (4, 0), (5, 0)")
        conn.rollback()
        write(conn, "DELETE FROM accounts WHERE id = 1")
        write(conn, "INSERT INTO accounts VALUES (1, 0)")

    def test_puts_back_all(conn):
        write(conn, "TRUNCATE accounts")
        write(conn, "INSERT INTO accounts VALUES (1, 0)")

    def test_leaves_one_of_two(conn):
        write(conn, "INSERT INTO accounts VALUES (2, 0)", "INSERT INTO accounts VALUES (3, 0)")
        write(conn, "DELETE FROM accounts WHERE id = 3")
"""


def test_rows_put_back_fail_nothing(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(TABLES)
    done = run_suite(pytester, database.dsn, RESTORED)
    done.assert_outcomes(passed=3, errors=1)
    assert told(done) == {
        "test_leaves_one_of_two": ["left 1 row in public.accounts (id=2)"],
        "test_puts_back_what_was_there": [UNCLEAR],
        "test_puts_back_all": [UNCLEAR],
    }
