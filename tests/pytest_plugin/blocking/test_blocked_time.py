"""A real run of two workers: who was blocked by whom, where it is told, and what the sampler leaves."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import psutil
import psycopg
import pytest

from tests.pytest_plugin.blocking.suites import PASSWORD, TABLES, prepare, section
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

HOLDER = "test_holder_whose_name_is_longer_than_what_the_name_of_a_session_has_room_for"


def test_two_workers(database: Database, pytester: pytest.Pytester) -> None:
    prepare(pytester, database)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    pytester.makepyfile(
        test_a="""
        from conftest import until_told

        def HOLDER(connection):
            connection.execute("SELECT pg_advisory_xact_lock(1)")
            connection.execute("UPDATE users SET name = 'a' WHERE id = 42")
            connection.execute("SELECT pg_advisory_xact_lock(2)")
            until_told("test_waiter", 0.5)
        """.replace("HOLDER", HOLDER),
        test_b="""
        import psutil
        from conftest import cancelled_once_told, until_locked

        def test_waiter(connection):
            until_locked(2)
            connection.execute("UPDATE users SET name = 'b' WHERE id = 42")

        def test_waits_for_itself(connection, other):
            connection.execute("UPDATE users SET name = 'c' WHERE id = 43")
            with cancelled_once_told(other, "test_waits_for_itself", 1.0):
                other.execute("UPDATE users SET name = 'd' WHERE id = 43")

        def test_nothing():
            lines = [str(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
            samplers = [line for line in lines if "watch.sampler" in line]
            assert samplers and "not-to-be-seen" not in str(samplers)
        """,
    )
    done = pytester.runpytest_subprocess(
        "-n2",
        "--dist=loadfile",
        "-p",
        "no:randomly",
        "-p",
        "no:asyncio",
        "--pgwatch=warn",
        "--junitxml=out.xml",
    )
    done.assert_outcomes(passed=3, failed=1)
    text = done.stdout.str()

    failure = section(text, "pgwatch: who held what")
    itself = r"test_b\.py::test_waits_for_itself \(gw\d, pid (\d+)\)"
    [(waiter, holder)] = re.findall(
        rf"{itself} had waited [\d.]+ s for row of users \(id=43\) behind {itself}", failure
    )
    assert waiter != holder
    assert f"pid {holder}), idle in transaction for" in failure
    assert "it ran last: UPDATE users SET name = 'c' WHERE id = 43" in failure
    assert "It waits for itself" in failure

    finding = re.search(r"test_b\.py::test_waits_for_itself waited [\d.]+ s for itself: (.*)", text)
    assert finding is not None
    wanted, held = ("`UPDATE users SET name = 'X' WHERE id = 43`".replace("X", name) for name in "dc")
    assert finding[1].startswith(
        f"its session pid {waiter} wanted row of users (id=43) in {wanted}, and its session pid {holder} "
        f"held it, idle in transaction after {held}"
    )
    told = section(text, "pgwatch: blocked time")
    assert re.search(r"2 tests blocked for [\d.]+ s in all", told)
    assert re.search(r"test_b\.py::test_waiter \[gw\d\]\n +by test_a\.py::" + HOLDER + r" \[gw\d\] for", told)
    assert re.search(r"longest: [\d.]+ s for row of users \(id=42\)", told)
    assert "(itself: two sessions of one test)" in told

    cases = {case.get("name"): case for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase")}
    properties = {
        name: {one.get("name"): one.get("value") for one in case.iter("property")}
        for name, case in cases.items()
    }
    waited = properties["test_waiter"]
    took_s = float(cases["test_waiter"].get("time") or 0)
    assert 0.5 <= float(waited["pgwatch.blocked_s"] or 0) <= took_s + 0.05
    assert HOLDER in (waited["pgwatch.blocked_by"] or "")
    assert waited["pgwatch.blocked_on"] == "row of users (id=42)"
    assert "had waited" in (properties["test_waits_for_itself"]["pgwatch.waited_for"] or "")
    assert not properties["test_nothing"]
    assert not properties[HOLDER]

    [journal] = (pytester.path / "logs").glob("*.waits")
    lines = journal.read_text()
    assert PASSWORD not in lines
    assert journal.stat().st_mode & 0o077 == 0
    assert not psutil.pid_exists(json.loads(lines.splitlines()[0])["pid"])
