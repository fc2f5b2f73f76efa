"""Six keys in a real terminal free a hang that has three causes; each question needs few words."""

from __future__ import annotations

import re
import sys
from itertools import takewhile
from pathlib import Path

import psycopg
import pytest

from tests.cli.running import environment
from tests.servers.sessions import Connect, Database, blocked, is_waiting
from tests.terminals import needs_tmux, terminal
from tests.waiting import wait_until

REFUND = "pytest:gw3 tests/orders/test_refunds.py::test_refund"
CANCELLED = "pytest:gw0 tests/orders/test_refunds.py::test_cancelled"
MOST_WORDS = 25
"""Of a question, for who has to decide; at 4 words a second."""


@needs_tmux
@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_six_keys_free_three_stacked_troubles(
    size: tuple[int, int], database: Database, connect: Connect, tmp_path: Path
) -> None:
    set_up = connect(autocommit=True)
    set_up.execute("CREATE TABLE orders (id int PRIMARY KEY, total int)")
    set_up.execute("CREATE TABLE clients (id int PRIMARY KEY, name text)")
    set_up.execute("INSERT INTO orders VALUES (7, 0)")
    set_up.execute("INSERT INTO clients VALUES (3, '')")
    refund, cancelled = connect(REFUND), connect(CANCELLED)
    refund.execute("UPDATE orders SET total = 1")
    cancelled.execute("UPDATE clients SET name = 'x'")
    waiting = [blocked(cancelled, "UPDATE orders SET total = 2")]
    waiting += [
        blocked(connect(f"pytest:gw{number} t.py::test_{number}"), statement)
        for number, statement in ((1, "UPDATE orders SET total = 3"), (2, "UPDATE clients SET name = 'y'"))
    ]
    waiting += [blocked(connect("migrations"), "ALTER TABLE orders ADD note text")]
    waiting += [
        blocked(connect(f"pytest:gw{number} t.py::test_list"), "SELECT * FROM orders")
        for number in range(4, 10)
    ]
    program = (sys.executable, "-m", "pgwatch_tests", "--refresh", "0.25")
    with (
        psycopg.connect(database.dsn, autocommit=True) as observer,
        terminal(program, environment({"PGWATCH_DSN": database.dsn}), tmp_path, size) as opened,
    ):
        opened.shows("test_refund blocks 10 sessions")
        drawn = opened.shows("Now ")
        assert all(f" {label}  " in drawn for label in ("Why", "Fix", "Now")), drawn
        for asks, frees, then in (
            (
                "Cancel the ALTER TABLE of migrations",
                "Frees 6 sessions at once. Then test_refund (gw3) still blocks 3: A again.",
                "test_refund blocks 3 tests",
            ),
            (
                "End the session of test_refund",
                "Frees 1 of 3 sessions at once. Then 2 wait for test_cancelled (gw0): A again if it stays.",
                "test_cancelled blocks 2 tests",
            ),
            (
                "End the session of test_cancelled",
                "Frees 2 sessions at once. Then nothing is blocked.",
                "Nothing is blocked",
            ),
        ):
            opened.type("A")
            question = asked(opened.shows("y yes"))
            assert question.startswith(asks)
            assert frees in question
            assert len(frees.split()) + len(asks.split()) <= MOST_WORDS
            opened.type("y")
            opened.shows(then)
        wait_until(lambda: not any(is_waiting(observer, one.pid) for one in waiting))
        opened.type("q")
        wait_until(lambda: not opened.is_running, 60)


def asked(screen: str) -> str:
    """What a question says above its facts, in one line."""
    # Beside the box, the tree has lines of its own.
    boxed = [re.findall(r"│ ([^│]*)│", line) for line in screen.splitlines()]
    lines = [max(parts, key=len).strip() for parts in boxed if parts]
    first = next(number for number, line in enumerate(lines) if line.startswith(("Cancel ", "End ")))
    return " ".join(takewhile(bool, lines[first:]))
