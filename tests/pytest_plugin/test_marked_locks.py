"""The marker `pgwatch_lock`: tests of all workers take turns, and none is charged with the wait."""

from __future__ import annotations

import threading
from xml.etree import ElementTree

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.testing.current_test import Owner, running
from pgwatch_tests.testing.named_locks import lock
from tests.servers.sessions import Database, unique_name
from tests.waiting import wait_until

pytest_plugins = ["pytester"]

TURNS = """
    import psycopg, pytest

    HELD = "SELECT mode, application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE " \\
        "locktype = 'advisory' AND classid = 1885828980 AND objid::bigint = hashtext(%s)::bigint & 4294967295"

    @pytest.fixture
    def connection():
        with psycopg.connect("DSN") as connection:
            yield connection

    @pytest.fixture
    def alone(connection):
        # Its own set-up and tear-down have the lock, too. No lock of a row waits for anybody.
        connection.execute("SELECT FROM counters FOR UPDATE NOWAIT")
        yield
        connection.execute("SELECT FROM counters FOR UPDATE NOWAIT")

    @pytest.mark.pgwatch_lock("NAME")
    @pytest.mark.parametrize("number", range(6))
    def test_turns(number, alone, connection, worker_id, request):
        connection.execute("UPDATE counters SET n = n + 1")
        ((mode, application_name),) = connection.execute(HELD + " AND granted", ["lock:NAME"]).fetchall()
        assert mode == "ExclusiveLock"
        assert application_name.startswith(f"pytest:{worker_id} ") and f"[{number}]" in application_name
        connection.commit()

    @pytest.mark.pgwatch_lock("NAMEb", "NAMEc", shared=True)
    class TestSeveral:
        @pytest.mark.pgwatch_lock("NAMEc")
        def test_the_stricter_marker_counts(self, connection):
            held = HELD + " AND granted"  # the others of this class wait for it in other workers
            modes = [connection.execute(held, ["lock:NAME" + one]).fetchone()[0] for one in "bc"]
            assert modes == ["ShareLock", "ExclusiveLock"]

        def test_taken_already(self, pgwatch_lock):
            with pytest.raises(Exception, match="already.*its marker pgwatch_lock has taken it"):
                pgwatch_lock("NAMEb").__enter__()
            with pgwatch_lock("NAME"):
                pass

    @pytest.mark.pgwatch_lock("NAMEd", timeout_s=0.2)
    def test_times_out():
        raise AssertionError("never reached")

    @pytest.mark.pgwatch_lock("a b")
    def test_wrong_name():
        raise AssertionError("never reached")

    @pytest.mark.pgwatch_lock(name="NAME")
    def test_wrong_option():
        raise AssertionError("never reached")

    def test_without(): ...
"""

SKIPPED = """
    import pytest, unittest
    pytestmark = pytest.mark.pgwatch_lock("a")

    @pytest.mark.skip
    def test_skip(): ...

    @pytest.mark.skipif("sys.platform")
    def test_skipif(): ...

    @pytest.mark.xfail(run=False)
    def test_xfail(): ...

    @unittest.skip("no")
    def test_function(): ...

    @unittest.skip("no")
    class TestClass(unittest.TestCase):
        def test_it(self): ...

    class TestMethod(unittest.TestCase):
        @unittest.skip("no")
        def test_it(self): ...

    @pytest.mark.skipif("no_such_name")
    def test_wrong_condition(): ...
"""


def test_a_test_that_is_skipped_needs_no_lock(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SKIPPED)
    done = pytester.runpytest_subprocess("--pgwatch-dsn=host=/nowhere")
    done.assert_outcomes(skipped=5, xfailed=1, errors=1)
    done.stdout.fnmatch_lines("*no_such_name*")


@pytest.mark.parametrize("mode", ["off", "warn"])
def test_tests_of_all_workers_take_turns(
    mode: str, pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    name = unique_name("lock")
    owner.execute("CREATE TABLE counters (n int); INSERT INTO counters VALUES (0)")
    pytester.makepyfile(TURNS.replace("NAME", name).replace("DSN", database.dsn))
    with running(Owner("test", "tests/a.py::test_holds", "gw7")), lock(f"{name}d", dsn=database.dsn):
        done = pytester.runpytest_subprocess(
            "-n", "2", f"--pgwatch={mode}", f"--pgwatch-dsn={database.dsn}", "--strict-markers"
        )
    done.assert_outcomes(passed=9, errors=3)
    done.stdout.fnmatch_lines_random(
        [
            f"*waited 0.2 s for the named lock {name}d: tests/a.py::test_holds (gw7, pid *) holds it*",
            "*the name of a lock is 1 to 63 letters*",
            "*the marker pgwatch_lock takes the name of a lock*",
        ]
    )
    assert owner.execute("SELECT n FROM counters").fetchone() == (6,)


def test_the_wait_is_nobodys_time(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow]
) -> None:
    name = unique_name("lock")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.pgwatch_lock("{name}")
        def test_it(): ...
        """
    )
    waiting = (
        "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pytest:%%' AND query LIKE %s "
        "AND wait_event = 'advisory' AND clock_timestamp() > query_start + interval '1.2 s'"
    )

    with psycopg.connect(database.dsn, dbname="postgres", autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(1885828980, hashtext(%s))", [f"lock:{name}"])

        def free() -> None:
            try:
                # A busy machine takes its time to start a suite.
                wait_until(lambda: owner.execute(waiting, [f"%{name}%"]).rowcount, timeout_s=60)
            finally:
                holder.execute("SELECT pg_advisory_unlock_all()")

        freeing = threading.Thread(target=free)
        freeing.start()
        options = ["--timeout=1", "--junit-xml=junit.xml", f"--pgwatch-dsn={database.dsn}"]
        pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)
        freeing.join()
    (case,) = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    assert float(case.attrib["time"]) < 1
