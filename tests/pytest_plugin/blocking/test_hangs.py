"""Deadlocks, time limits and lost workers become failures that name whom the test waited for."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.pytest_plugin.blocking.suites import OPTIONS, TABLES, prepare
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]


def test_deadlocks_time_limits_and_a_lost_worker(database: Database, pytester: pytest.Pytester) -> None:
    prepare(pytester, database)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    pytester.makepyfile(
        test_a="""
        import time
        from conftest import lock, until_gone, until_locked, until_waiting

        def test_quick_deadlock_a(connection):
            connection.execute("SET deadlock_timeout = '5ms'")
            connection.execute("UPDATE users SET name = 'a' WHERE id = 5")
            with lock(15):
                until_locked(16)
                connection.execute("UPDATE users SET name = 'a' WHERE id = 6")
                until_gone("test_quick_deadlock_b")

        def test_deadlock_a(connection):
            connection.execute("UPDATE users SET name = 'a' WHERE id = 1")
            with lock(11):
                until_locked(12)
                connection.execute("UPDATE users SET name = 'a' WHERE id = 2")

        def test_holds_3(connection):
            connection.execute("UPDATE users SET name = 'a' WHERE id = 3")
            with lock(13):
                until_waiting()
                time.sleep(3.2)

        def test_holds_4(connection):
            connection.execute("UPDATE users SET name = 'a' WHERE id = 4")
            with lock(14):
                until_waiting()
                time.sleep(3.2)
        """,
        test_b="""
        import pytest
        from conftest import lock, until_gone, until_locked

        def test_quick_deadlock_b(connection):
            connection.execute("SET deadlock_timeout = '5ms'")
            connection.execute("UPDATE users SET name = 'b' WHERE id = 6")
            with lock(16):
                until_locked(15)
                connection.execute("UPDATE users SET name = 'b' WHERE id = 5")
                until_gone("test_quick_deadlock_a")

        def test_deadlock_b(connection):
            connection.execute("UPDATE users SET name = 'b' WHERE id = 2")
            with lock(12):
                until_locked(11)
                connection.execute("UPDATE users SET name = 'b' WHERE id = 1")

        @pytest.mark.timeout(2.5, method="signal")
        def test_signal(connection):
            until_locked(13)
            try:
                connection.execute("UPDATE users SET name = 'b' WHERE id = 3")
            finally:
                connection.close()

        @pytest.mark.timeout(2.5, method="thread")
        def test_thread(connection):
            until_locked(14)
            connection.execute("UPDATE users SET name = 'b' WHERE id = 4")
        """,
    )
    done = pytester.runpytest_subprocess(
        *OPTIONS, "-n2", "--dist=loadfile", "--max-worker-restart=0", "--pgwatch=warn", "--tb=short"
    )
    text = done.stdout.str()

    assert "who wrote to what it had read" not in text
    quick = [rf"test_{one}\.py::test_quick_deadlock_{one} \(gw\d, pid \d+\)" for one in "ab"]
    assert text.count("(40P01)") == 2
    sides = rf"(?:{'|'.join(quick)})"
    # Hardly ever a poll sees both sides of one that lasts for 5 ms.
    assert re.search(rf"{sides} (?:waited for {sides}|wanted row of users.*, which {sides} had locked)", text)

    side = r"test_{0}\.py::test_deadlock_{0} \(gw\d, pid \d+\)"
    a, b = side.format("a"), side.format("b")
    assert re.search(r"deadlock detected \(40P01\), a circle of 2:", text)
    for waiter, holder, row in ((a, b, 2), (b, a, 1)):
        assert re.search(rf"{waiter} wanted row of users \(id={row}\), which {holder} had locked", text)
    assert re.search(r"(?:1 deadlock|2 deadlocks) seen:", text)

    for name, row in (("signal", 3), ("thread", 4)):
        waited = re.search(
            rf"test_b\.py::test_{name} \(gw\d, pid \d+\) had waited \d+\.\d s for row of users "
            rf"\(id={row}\) behind test_a\.py::test_holds_{row} \(gw\d, pid \d+\)",
            text,
        )
        assert waited, name
    assert re.search(r"gw\d was lost while the test waited:", text)
    assert re.search(r"holder: test_a\.py::test_holds_4 \(gw\d, pid \d+\), idle in transaction for", text)
