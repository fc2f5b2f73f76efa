"""The options that limit waits and idle transactions, and what a test hears whose session was ended."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.pytest_plugin.blocking.suites import OPTIONS, TABLES, prepare, section
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]


def test_a_session_that_sits_idle_is_ended_and_its_test_told_whom_it_held_up(
    database: Database, pytester: pytest.Pytester
) -> None:
    prepare(pytester, database)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    pytester.makeini("[pytest]\npgwatch_idle_timeout = 2s\npgwatch_lock_timeout = 1m\n")
    pytester.makepyfile(
        """
        import threading, time
        import psycopg
        from conftest import DSN, until

        def test_sits_idle(connection):
            left_open = psycopg.connect(DSN)
            left_open.execute("UPDATE users SET name = 'a' WHERE id = 1")
            waiter = threading.Thread(
                target=lambda: connection.execute("UPDATE users SET name = 'b' WHERE id = 1")
            )
            waiter.start()
            waiter.join()
            left_open.execute("SELECT 1")
        """
    )
    done = pytester.runpytest_subprocess(*OPTIONS, "--pgwatch=warn", "--tb=short")
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    told = section(done.stdout.str(), "pgwatch: who held what")
    first, second, *_ = told.splitlines()
    assert first == (
        "terminating connection due to idle-in-transaction timeout (25P03): the test left a transaction "
        "open, and did nothing in it."
    )
    held_up = (
        r"  test_\w+\.py::test_sits_idle \(pid \d+\) waited \d+\.\d s behind it, for row of users \(id=1\)"
    )
    assert re.fullmatch(held_up, second)


def test_whoever_holds_fails_before_whoever_waits(pytester: pytest.Pytester) -> None:
    limits = ["--pgwatch-lock-timeout=2s", "--pgwatch-idle-timeout=3s"]
    done = pytester.runpytest_subprocess(*OPTIONS, "--pgwatch=warn", *limits)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*--pgwatch-idle-timeout must be shorter than --pgwatch-lock-timeout*"])
    done = pytester.runpytest_subprocess(*OPTIONS, "--pgwatch=warn", "--pgwatch-lock-timeout=soon")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*--pgwatch-lock-timeout: 'soon' isn't a duration such as*"])
