"""`--pgwatch-replay`: a schedule is run by its id, with the plugin off; the summary says whether it was."""

from __future__ import annotations

import re

import pytest

from tests.pytest_plugin.suites import ORDERED
from tests.servers.sessions import Database

pytest_plugins = ["pytester"]

SUITE = """
    import itertools, os
    import psycopg
    from pgwatch_tests.testing import interleave

    DSN = os.environ["SUITE_DSN"]

    def acts(connection, *statements):
        def act(world):
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement)
        return act

    def check(*statements):
        with psycopg.connect(DSN, autocommit=True) as looking:
            looking.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        with psycopg.connect(DSN) as one, psycopg.connect(DSN) as other:
            found = interleave(
                acts(one, *statements), acts(other, *statements), setup=int, invariant=lambda *_: False
            )
            print("explored", found.explored)
            found.assert_holds()

    def test_books():
        check("SELECT count(*) FROM note", "INSERT INTO note VALUES ('x')")

    def test_other():
        check("SELECT count(*) FROM note")

    def test_without():
        assert "PGWATCH_REPLAY" not in os.environ or os.environ["PGWATCH_REPLAY"]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, database: Database, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makepyfile(test_it=SUITE)
    monkeypatch.setenv("SUITE_DSN", database.dsn)
    monkeypatch.delenv("PGWATCH_REPLAY", raising=False)
    return pytester


def test_a_schedule_is_replayed_where_its_test_is_selected(suite: pytest.Pytester) -> None:
    done = suite.runpytest_subprocess(*ORDERED, "-k", "books")
    found = re.search(r"replay: --pgwatch-replay (\w+@\w+)", done.stdout.str())
    assert found is not None, done.stdout.str()
    id_ = found[1]

    done = suite.runpytest_subprocess(*ORDERED, "-k", "books", "--pgwatch-replay", id_)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            f"*schedule {id_} (1st of 1; replay: --pgwatch-replay {id_})",
            "explored 1",
            f"--pgwatch-replay={id_}: replayed in 1 call of interleave",
        ]
    )

    # In workers; the other test's steps are others, and a test without any call is none.
    done = suite.runpytest_subprocess(*ORDERED, "-n", "2", f"--pgwatch-replay={id_}")
    done.assert_outcomes(failed=2, passed=1)
    done.stdout.fnmatch_lines(
        [
            "*DivergedError: diverged at step *an id belongs to one call of interleave: "
            "select the test that it was told for, alone;*",
            f"--pgwatch-replay={id_}: replayed in 1 call of interleave; 1 other call made other steps: "
            "select its test alone",
        ]
    )

    done = suite.runpytest_subprocess(*ORDERED, "-k", "other", f"--pgwatch-replay={id_}")
    done.stdout.fnmatch_lines(
        [f"--pgwatch-replay={id_}: nothing was replayed: 1 call of interleave made other*"]
    )


def test_a_run_that_replays_nothing_says_so(suite: pytest.Pytester) -> None:
    done = suite.runpytest_subprocess(
        *ORDERED, "-k", "without", "--pgwatch-replay=BAAB@5f3c", "--pgwatch=warn"
    )
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(
        ["--pgwatch-replay=BAAB@5f3c: nothing was replayed: no test of this run called interleave"]
    )

    done = suite.runpytest_subprocess(*ORDERED, "--pgwatch-replay=BAAB")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        ["ERROR: --pgwatch-replay: 'BAAB' isn't the id of a schedule, such as BAAB@5f3c"]
    )
