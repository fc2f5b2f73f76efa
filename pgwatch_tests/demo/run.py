"""The whole demo: a server, an application, a flaky suite; gone when it ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import FrameType

import psycopg

from pgwatch_tests.demo.suite_process import FlakySuite
from pgwatch_tests.embedded.server import EmbeddedServer, find_programs, free_directory
from pgwatch_tests.errors import ConfigurationError

DATABASE = "demo_booking"
TERMINATED = 143

# libpq, "Environment Variables"; a service's settings hold even where a connection string has none.
_OF_LIBPQ = re.compile(r"PG(?!WATCH)")
# Long enough that one can see a deadlock before the server breaks it.
_SETTINGS = {"deadlock_timeout": "2s"}


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    dsn: str
    suite: FlakySuite


@contextmanager
def running_demo(progress: Callable[[str], None]) -> Iterator[Demo]:
    """Starts everything and removes everything, also when SIGTERM comes (SystemExit 143) or Ctrl-C."""
    programs = find_programs()
    if find_spec("sqlalchemy") is None:
        raise ConfigurationError("the demo needs SQLAlchemy: pip install 'pgwatch-tests[demo]'")
    with ExitStack() as stack:
        stack.enter_context(_sigterm_exits())
        stack.enter_context(_without_libpq_variables())
        server = EmbeddedServer(programs, free_directory("pgwatch-demo-"), _SETTINGS)
        stack.callback(server.close)
        suite = FlakySuite()
        stack.callback(_close, suite, progress)
        # Undone first: nothing may interrupt the rest.
        stack.callback(_ignore_sigterm)
        server.start(progress)
        begun = time.monotonic()
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        dsn = server.dsn(DATABASE)
        suite.begin(dsn)
        progress(f"booking application and flaky suite started ({time.monotonic() - begun:.1f} s)")
        yield Demo(dsn, suite)


def _close(suite: FlakySuite, progress: Callable[[str], None]) -> None:
    counts = suite.close()
    if counts.tests:
        progress(f"the suite ran {counts.in_words()}")


@contextmanager
def _without_libpq_variables() -> Iterator[None]:
    """Takes somebody's PGSERVICE, PGOPTIONS and so on out of the environment: they are for other servers."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if _OF_LIBPQ.match(name)}
    try:
        yield
    finally:
        os.environ.update(taken)


@contextmanager
def _sigterm_exits() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        # None: the handler wasn't set by Python, and can't be restored.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _ignore_sigterm() -> None:
    with contextlib.suppress(ValueError):  # not the main thread: then it isn't handled at all
        signal.signal(signal.SIGTERM, lambda *_: None)
