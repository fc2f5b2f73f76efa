"""What the plugin costs: per COMMIT, per test and in a suite, hooks in or out by a draw, in one process.

python -m tests.benchmarks.testing.plugin_costs [--rounds N] [--tests N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.testing.connections.commits import Commits
from pgwatch_tests.testing.connections.drivers import Drivers
from pgwatch_tests.testing.current_test import Owner, running
from tests.benchmarks.measure import verdict
from tests.servers.server_places import server_directory

COMMIT_US, TEST_US, START_MS, SUITE = 40.0, 80.0, 1.0, 1.05
INSERT = "INSERT INTO t VALUES (1)"
PARTS = ("pgwatch-active", "pgwatch-report")
"""Those with hooks that are called for each test; the others listen to these."""
COUNTED = 10
"""Of so many tests, one has its calls counted instead of being timed."""

Transaction = Callable[[], None]


class Clock:
    """Tells seconds of a processor that this process and the server spend; else those that pass."""

    def __init__(self, server: EmbeddedServer) -> None:
        pid = (server.data_directory / "postmaster.pid").read_text().split()[0]
        self._children = Path(f"/proc/{pid}/task/{pid}/children")

    def start(self) -> float:
        """Returns what to take from `stop`."""
        # The process's own time last, then first: what it takes to read the server's isn't in between.
        return self._of_server() + self._own()

    def stop(self) -> float:
        """Returns the time by now."""
        return self._own() + self._of_server()

    def _own(self) -> float:
        return time.process_time() if self._children.exists() else time.perf_counter()

    def _of_server(self) -> float:
        spent_ns = 0
        for child in self._children.read_text().split() if self._children.exists() else ():
            try:
                spent_ns += int(Path(f"/proc/{child}/schedstat").read_text().split()[0])
            except (OSError, IndexError):
                continue  # it has ended meanwhile
        return spent_ns / 1e9


@contextmanager
def of_psycopg(dsn: str) -> Iterator[Transaction]:
    with closing(psycopg.connect(dsn)) as connection:

        def transaction() -> None:
            connection.execute(INSERT)
            connection.commit()

        yield transaction


@contextmanager
def of_psycopg2(dsn: str) -> Iterator[Transaction]:
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:

        def transaction() -> None:
            cursor.execute(INSERT)
            connection.commit()

        yield transaction


@contextmanager
def of_asyncpg(dsn: str) -> Iterator[Transaction]:
    with closing(asyncio.new_event_loop()) as loop:
        connection = loop.run_until_complete(asyncpg.connect(dsn))

        async def work() -> None:
            async with connection.transaction():
                await connection.execute(INSERT)

        yield lambda: loop.run_until_complete(work())
        loop.run_until_complete(connection.close())


def per_transaction(dsn: str, clock: Clock, rounds: int) -> None:
    """Prints what a transaction of one INSERT takes longer: a test's first, and its further ones."""
    drivers = Drivers(Commits(), print)
    drivers.look()
    for name, connect in (("psycopg", of_psycopg), ("asyncpg", of_asyncpg), ("psycopg2", of_psycopg2)):
        times: dict[tuple[str, bool], list[float]] = {
            (which, is_on): [] for which in ("first", "further") for is_on in (False, True)
        }
        with connect(dsn) as transaction:
            for number in range(rounds):
                is_on = random.random() < 0.5
                switch(drivers, is_on)
                with running(Owner("test", f"tests/test_it.py::test_{number}", worker="gw0")):
                    for which in ("first", "further"):
                        began = clock.start()
                        transaction()
                        if number >= rounds // 10:
                            times[which, is_on].append(clock.stop() - began)
        switch(drivers, True)
        plain = {which: calm(times[which, False]) * 1e6 for which in ("first", "further")}
        more = {which: calm(times[which, True]) * 1e6 - plain[which] for which in plain}
        print(f"{name}: a transaction of one INSERT takes {plain['further']:.0f} µs without the plugin")
        print(verdict("more per COMMIT, µs", more["further"], COMMIT_US))
        first = more["first"] - more["further"]
        print(verdict("more per test and session, beside its COMMIT, µs", first, TEST_US))
    drivers.remove()


def calm(times: list[float]) -> float:
    """Returns the fastest tenth's longest time: what else the machine does counts for little."""
    return statistics.quantiles(times, n=10)[0]


def switch(drivers: Drivers, is_on: bool) -> None:
    """Puts the hooks in or takes them out; the sessions that they know stay known."""
    for hooks in drivers.hooks:
        hooks.remove()
    if is_on:
        for hooks in drivers.hooks:
            hooks.install()


class Draw:
    """Draws for each test of a suite whether the plugin's parts are in, and times the test."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: dict[tuple[str, bool], list[float]] = {}
        self.calls: dict[tuple[str, bool], list[float]] = {}
        """How many functions of Python were called for a test: the same however busy the machine is."""
        self._parts: dict[str, object] = {}
        self._is_on = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        is_on = random.random() < 0.5
        if is_on != self._is_on:
            self._switch(item.config.pluginmanager, is_on)
        key = item.name.partition("[")[0], is_on
        if random.randrange(COUNTED) == 0:
            return (yield from self._counted(key))
        began = self._clock.start()
        result = yield
        self.times.setdefault(key, []).append(self._clock.stop() - began)
        return result

    def _counted(self, key: tuple[str, bool]) -> Generator[None, object, object]:
        calls = 0

        def count(_frame: object, event: str, _arg: object) -> None:
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            self.calls.setdefault(key, []).append(calls)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._is_on:
            self._switch(session.config.pluginmanager, True)

    def _switch(self, manager: pytest.PytestPluginManager, is_on: bool) -> None:
        self._is_on = is_on
        for name in PARTS:
            if is_on:
                manager.register(self._parts[name], name)
            else:
                self._parts[name] = manager.get_plugin(name)
                manager.unregister(name=name)
        if is_on:
            # So that it is the outermost again.
            manager.unregister(self)
            manager.register(self)
        connections: Any = manager.get_plugin("pgwatch-connections")
        switch(connections._drivers, is_on)


SUITE_TEXT = """
import os, time
import psycopg, pytest

@pytest.fixture(scope="session")
def connection():
    with psycopg.connect(os.environ["SUITE_DSN"]) as connection:
        yield connection

def work(connection):
    for _ in range(30):
        connection.execute("SELECT count(*) FROM pg_catalog.pg_class")

@pytest.mark.parametrize("number", range({tests}))
def test_reads(number, connection):
    work(connection)
    connection.rollback()

@pytest.mark.parametrize("number", range({tests}))
def test_writes_and_cleans_up(number, connection):
    connection.execute("INSERT INTO u VALUES (1)")
    connection.commit()
    work(connection)
    connection.execute("DELETE FROM u")
    connection.commit()

@pytest.mark.parametrize("number", range({tests}))
def test_nothing(number):
    pass
"""


def per_suite(dsn: str, clock: Clock, tests: int) -> None:
    """Prints what tests of 3 ms take with the plugin, beside the same without."""
    draw = Draw(clock)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "test_it.py").write_text(SUITE_TEXT.format(tests=tests), encoding="utf-8")
        os.environ |= {"SUITE_DSN": dsn, "PGWATCH_DSN": dsn}
        options = ["-p", "no:cacheprovider", "--pgwatch=warn", "--rootdir", directory]
        pytest.main([*options, "-c", os.devnull, directory], plugins=[draw])
    for name in ("test_nothing", "test_reads", "test_writes_and_cleans_up"):
        off, on = (calm(draw.times[name, is_on]) for is_on in (False, True))
        calls_off, calls_on = (statistics.median(draw.calls[name, is_on]) for is_on in (False, True))
        print(
            f"{name}: {off * 1e6:.0f} µs without, {on * 1e6:.0f} µs with the plugin, {on / off:.3f}x; "
            f"{calls_off:.0f} calls of Python functions, and {calls_on - calls_off:.0f} more"
        )
        if name == "test_nothing":
            print(verdict("more per test, µs", (on - off) * 1e6, TEST_US))
        else:
            print(verdict("ratio", on / off, SUITE))


START = """
import time, pytest
class Config:
    class pluginmanager:
        register = staticmethod(lambda *_: None)
    addinivalue_line = getini = getoption = staticmethod(lambda *_: None)
began = time.perf_counter()
from pgwatch_tests import pytest_plugin
pytest_plugin.pytest_configure(Config)
print((time.perf_counter() - began) * 1000)
"""


def at_start(rounds: int) -> None:
    """Prints what a run costs at its start if the plugin is off."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PGWATCH")}
    command = [sys.executable, "-c", START]
    figures = [
        float(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
        for _ in range(rounds)
    ]
    print(verdict("start while it is off, ms", statistics.median(figures), START_MS))


def main() -> None:
    """Prints figures and budgets."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.testing.plugin_costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3000, help="tests per driver (default: %(default)s)")
    parser.add_argument("--tests", type=int, default=300, help="tests of each kind (default: %(default)s)")
    options = parser.parse_args()
    at_start(15)
    with EmbeddedServer(find_programs(), server_directory()) as server:
        clock = Clock(server)
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE t (a int); CREATE TABLE u (a int)")
        per_transaction(server.dsn(), clock, options.rounds)
        per_suite(server.dsn(), clock, options.tests)


if __name__ == "__main__":
    main()
