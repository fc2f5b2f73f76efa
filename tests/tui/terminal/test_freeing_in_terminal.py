"""Four keys in a real terminal free a hang that has three causes, and few words have to be read for it."""

from __future__ import annotations

import re
import sys
from functools import partial
from itertools import dropwhile, takewhile

import psycopg
import pytest

from tests.cli.running import environment
from tests.servers.sessions import Connect, Database, blocked, is_waiting
from tests.terminals import needs_tmux, terminal
from tests.waiting import wait_until

REFUND = "pytest:gw3 tests/orders/test_refunds.py::test_refund"
CANCELLED = "pytest:gw0 tests/orders/test_refunds.py::test_cancelled"
ENDS = "End the session of {}? Frees {}. Its transaction is lost."
BESIDE = "A frees 6. y yes n no. test_cancelled (gw0) may still go on. Nothing is blocked."
MOST_WORDS = 72
"""Of the verdict, of all questions and of the end: 18 s at 240 a minute, and two for keys and server."""


@needs_tmux
@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_four_keys_free_three_stacked_troubles(
    size: tuple[int, int], database: Database, connect: Connect
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
        terminal(program, environment({"PGWATCH_DSN": database.dsn}), size) as opened,
    ):
        drawn = opened.shows(": A frees 6")
        verdict = next(line for line in drawn.splitlines() if "A frees 6" in line)
        assert "test_refund blocks 10 sessions" in verdict
        drawn = opened.shows("Now ")
        assert all(f" {label}  " in drawn for label in ("Why", "Fix", "Now")), drawn
        words = words_in(verdict.partition("(")[0])
        opened.type("A")
        for question, then in (
            ("Cancel the ALTER TABLE of migrations? Frees 6 of 10. ALTER TABLE fails.", "blocks 3 tests"),
            (f"3 still wait. {ENDS.format('test_refund (gw3)', '1 of 3')}", "may still go on …"),
            (f"{ENDS.format('test_cancelled (gw0)', 'both')} Idle since it was freed.", "it blocked can"),
        ):
            opened.until(partial(asks, question))
            words += words_in(question)
            opened.type("y")
            opened.shows(then)
        assert words + words_in(BESIDE) <= MOST_WORDS
        wait_until(lambda: not any(is_waiting(observer, one.pid) for one in waiting))
        # Just after the question has closed by itself, q alone would be for that.
        opened.type("jq")
        wait_until(lambda: not opened.is_running, 60)


def words_in(text: str) -> int:
    return sum(word[0].isalnum() or word[0] == "(" for word in text.split())


def asks(question: str, screen: str) -> bool:
    """Whether a question says just that above its facts, and takes an answer."""
    # Beside the box, the tree has lines of its own.
    boxed = [re.findall(r"│ ([^│]*)(?=│)", line) for line in screen.splitlines()]
    lines = [max(parts, key=len).strip() for parts in boxed if parts]
    below = dropwhile(lambda line: not line or not question.startswith(line), lines)
    return "y yes" in screen and " ".join(takewhile(bool, below)) == question
