"""Bursts of keys through a real terminal, into a dashboard that has much to draw, harm nobody.

`BURSTS=50 pytest tests/tui/terminal/test_bursts_in_terminal.py` types each of them about three times;
without that, one of every kind is typed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from tests.cli.running import environment
from tests.servers.server_places import server_directory
from tests.servers.sessions import blocked
from tests.terminals import Terminal, needs_tmux, terminal
from tests.waiting import wait_until

SESSIONS = 400
BURSTS = int(os.environ.get("BURSTS", "8"))
NAME = "pytest:gw0 tests/test_a.py::test_victim"
ASKS = " n no "
# Typed after `/`, and typed into the tree: the first four of each are of different kinds.
FILTERS = ("Key", "queue", "Cyy", "1K2Ky", "Kyle", "KyKyKy", "quit yes", "Ky K y")
QUESTIONS = ("Ky", "CKyy", "K\ry", "2jjKy", "Kyyyy", "KKy", "Cy", "2Ky", "1C\r\ry")


@pytest.fixture
def busy_server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server with many sessions; most of them idle, some of them waiting for one."""
    settings = {"max_connections": str(SESSIONS + 40)}
    with EmbeddedServer(programs, server_directory(), settings, template) as started, ExitStack() as stack:
        dsn = started.dsn()

        def connect(_: int) -> Connection[TupleRow]:
            return psycopg.connect(dsn, application_name=NAME, autocommit=True)

        with ThreadPoolExecutor(8) as pool:
            opened = list(pool.map(connect, range(SESSIONS)))
        for connection in opened:
            stack.callback(connection.pgconn.finish)
        root, *waiters = opened[:20]
        root.execute("CREATE TABLE accounts (id int PRIMARY KEY)")
        root.execute("INSERT INTO accounts VALUES (1)")
        root.execute("BEGIN")
        root.execute("UPDATE accounts SET id = 1")
        for waiter in waiters:
            blocked(waiter, "UPDATE accounts SET id = 1")
        yield started


def sessions(observer: Connection[TupleRow]) -> set[tuple[int, str]]:
    """Who is there, and what they do."""
    rows = observer.execute(
        "SELECT pid, state || coalesce(wait_event_type, '') FROM pg_stat_activity"
        " WHERE application_name = %s",
        [NAME],
    )
    return {(pid, state) for pid, state in rows}


def filter_line(screen: str) -> str:
    return screen.splitlines()[-2].strip().removeprefix("Filter ")


def back_to_the_tree(opened: Terminal) -> None:
    if ASKS in opened.screen:
        opened.type("n")
        opened.until(lambda screen: ASKS not in screen)
    else:
        opened.press("Escape")
        opened.until(lambda screen: filter_line(screen) not in FILTERS)
    opened.type("1")
    opened.shows("Blocks")


@needs_tmux
def test_no_burst_harms_anybody(busy_server: EmbeddedServer) -> None:
    program = (sys.executable, "-m", "pgwatch_tests", "--refresh", "0.25")
    filters, questions = cycle(FILTERS), cycle(QUESTIONS)
    with (
        psycopg.connect(busy_server.dsn(), autocommit=True) as observer,
        terminal(program, environment({"PGWATCH_DSN": busy_server.dsn()})) as opened,
    ):
        opened.shows("blocks 19 tests")
        before = sessions(observer)
        assert len(before) == SESSIONS
        for number in range(BURSTS):
            if number % 2:
                opened.type(f"/{next(filters)}")
                opened.until(lambda screen: filter_line(screen) in FILTERS)
            else:
                opened.type(next(questions))
                opened.shows(ASKS)
            assert opened.is_running
            assert sessions(observer) == before
            back_to_the_tree(opened)
        assert sessions(observer) == before
        opened.type("q")
        wait_until(lambda: not opened.is_running, 60)
