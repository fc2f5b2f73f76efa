"""Exactly the bad tests of the example are named; who looks on sees them blocked for as long."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import psycopg

from pgwatch_tests.locks.graph.settled_waits import SURELY_REAL_S
from tests.booking_example import readme
from tests.booking_example.expected import mistakes
from tests.booking_example.run import run_example
from tests.cli.running import environment
from tests.servers.sessions import Database
from tests.waiting import PATIENCE_S, wait_until

# The plugins that it needs: whatever else is installed takes each process a second to load.
PLUGINS = ("xdist", "pytest_asyncio.plugin", "pytest_randomly", "pgwatch_tests.pytest_plugin")
SELF_WAIT = "test_a_dear_lesson_is_cancelled"
BLOCKED = re.compile(rf"^ +(?P<s>[\d.]+) s  tests/bad/test_self_wait\.py::{SELF_WAIT} ", re.MULTILINE)


def is_watched(dsn: str) -> bool:
    """Whether somebody of ours looks on."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgwatch-tests'"
        ).fetchone()
    return row is not None and int(row[0]) > 0


def test_exactly_the_bad_tests_are_named(python: str, database: Database, tmp_path: Path) -> None:
    watch = subprocess.Popen(
        [python, "-m", "pgwatch_tests", "locks", "--watch", "600", "--format", "json", "-d", database.dsn],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    wait_until(lambda: is_watched(database.dsn), timeout_s=60)
    options = [part for plugin in PLUGINS for part in ("-p", plugin)]
    run = run_example(
        tmp_path,
        *("-n", "2", *options),
        environment={"PGWATCH_DSN": database.dsn, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    watch.send_signal(signal.SIGINT)
    seen = json.loads(watch.communicate(timeout=PATIENCE_S)[0])
    assert mistakes(run) == [], run.output

    written = readme.findings(readme.shown(readme.PATH.read_text()))
    assert written == readme.findings(readme.excerpt(run)), "python -m tests.booking_example --readme"

    # What the dashboard's tab Contention shows.
    [pair] = [pair for pair in seen["pairs"] if SELF_WAIT in pair["waiter"] and SELF_WAIT in pair["blocker"]]
    told = BLOCKED.search(run.output)
    assert told is not None, run.output
    # Whoever looks on counts up to the last look that saw the wait, but for the tenth of a second in which a
    # wait may be none yet; the plugin counts up to its end.
    assert pair["longest_s"] - SURELY_REAL_S - 0.1 < pair["blocked_s"], seen["pairs"]
    assert pair["blocked_s"] < float(told["s"]) + 0.1, (seen["pairs"], run.output)
