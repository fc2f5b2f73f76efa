"""A real run of two workers: who wrote to what a failed test had read, and in which order."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import psycopg
import pytest

from tests.pytest_plugin.blocking.suites import OPTIONS, TABLES, prepare, section
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]


def test_candidates_and_order(database: Database, pytester: pytest.Pytester) -> None:
    prepare(pytester, database)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    pytester.makepyfile(
        test_a="""
        from conftest import lock, until_locked, until_waiting

        def test_needs_a_booking_of_another(connection):
            assert connection.execute("SELECT count(*) FROM bookings").fetchone() == (1,)

        def test_counts(connection):
            before = connection.execute("SELECT count(*) FROM users").fetchone()
            with lock(1):
                until_locked(2)
            assert connection.execute("SELECT count(*) FROM users AS u").fetchone() == before

        def test_fails_for_another_reason(connection):
            connection.execute("SELECT 1 FROM users")
            raise ValueError
        """,
        test_b="""
        from conftest import lock, until, until_locked

        def test_adds_a_user(connection):
            until_locked(1)
            connection.execute("INSERT INTO users VALUES (1000, 'y')")
            connection.commit()
            connection.execute("INSERT INTO bookings VALUES (1000, 'y')")
            connection.commit()
            with lock(2):
                until("SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1")
        """,
    )
    done = pytester.runpytest_subprocess(
        *OPTIONS, "-n2", "--dist=loadfile", "--pgwatch=warn", "--junitxml=out.xml", "--tb=short"
    )
    done.assert_outcomes(passed=1, failed=3)
    text = done.stdout.str()
    told = section(text, "pgwatch: who wrote to what it had read")
    assert told.startswith(
        "While it ran, 1 other committed writes to tables that it had read. What it saw may be the work of "
        "1 of 1; that is no proof:"
    )
    assert re.search(r"  test_b\.py::test_adds_a_user \[gw\d\] wrote to users, last at \d\d:\d\d:\d\d", told)
    assert text.count("pgwatch: who wrote to what it had read") == 1
    order = section(text, "pgwatch: what failed tests had read")
    assert re.search(
        r"test_a\.py::test_needs_a_booking_of_another \[gw\d\] failed:\n  it read bookings, to which nobody "
        r"had committed anything in this run by then; test_b\.py::test_adds_a_user \[gw\d\] did so later",
        order,
    )
    properties = {
        case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase")
    }
    assert properties["test_counts"]["pgwatch.interference"] == "1 of 1: test_b.py::test_adds_a_user"
    assert "pgwatch.interference" not in properties["test_fails_for_another_reason"]
