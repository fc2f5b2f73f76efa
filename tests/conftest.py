"""A real server for each worker, a database for each test, and connections that never stay open."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import LiteralString

import hypothesis
import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms, find_programs
from tests import examples, without_server
from tests.servers.databases import Databases
from tests.servers.server_places import server_directory
from tests.servers.sessions import (
    Connect,
    Database,
    MakeRole,
    close_at_once,
    create_database,
    drop_database,
    unique_name,
)


def suites_plugins(files: Iterable[str]) -> str:
    """Options of pytest without its autoload of plugins: those that a suite of a test needs, by its files."""
    plugins = ["pgwatch", "xdist", "rerunfailures", "timeout"]
    # The only one whose import takes a while.
    if any("async" in text for text in files):
        plugins.append("asyncio")
    return " ".join(f"-p {plugin}" for plugin in plugins)


# Who runs in the background of a script inherits an ignored SIGINT, and so would the programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What this machine says of its databases, its CI and its screen is no test's business; which programs of
# PostgreSQL the tests are to use is. `CI` stays, by which pytest shortens nothing.
_OF_THE_MACHINE = re.compile(
    r"PG(?!WATCH_PG_BIN$)|DATABASE_URL$|(?:GITHUB|GITLAB|CI|CIRCLE|BUILDKITE)_"
    r"|(?:GITLAB_CI|CIRCLECI|BUILDKITE|TF_BUILD|JENKINS_URL|NO_COLOR|FORCE_COLOR|COLORTERM|COLUMNS|LINES)$"
)
for variable in [name for name in os.environ if _OF_THE_MACHINE.match(name)]:
    del os.environ[variable]
os.environ["TERM"] = "xterm-256color"
# Hundreds of processes run the program: one compiles it for the others.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Twice as many as there are cores: tests wait for servers and screens. Without servers, as many."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if without_server.asked_for(config) else 2 * cores


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options `--without-server` and `--without-processes`."""
    without_server.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """With one of these options, tests draw fewer examples."""
    profile = examples.FEW if without_server.asked_for(config) else examples.ALL
    hypothesis.settings.load_profile(profile)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With one of them: leaves out tests that need a server or a process, and lets no other start one."""
    if without_server.asked_for(config):
        without_server.keep(config, items)
        without_server.forbid_servers(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects tests without a look for garbage: what is made then (modules, tests) is there for good."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter. A test takes it to start a process, whichever it is: see tests/without_server.py."""
    return sys.executable


@pytest.fixture(scope="session")
def programs() -> ServerPrograms:
    """PostgreSQL's programs: those of PGWATCH_PG_BIN, or of the demo's wheel."""
    return find_programs()


@pytest.fixture(scope="session")
def template(programs: ServerPrograms) -> Iterator[Path]:
    """The data directory of a server that never runs, for others to copy."""
    unstarted = EmbeddedServer(programs, server_directory())
    try:
        unstarted.initialise()
        yield unstarted.data_directory
    finally:
        unstarted.close()


@pytest.fixture(scope="session")
def server(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """This worker's server. Don't stop it: a test that wants to starts its own from `template`."""
    settings = {"wal_level": "logical", "autovacuum": "off"}
    with EmbeddedServer(programs, server_directory(), settings, template) as started:
        yield started


@pytest.fixture
def database(server: EmbeddedServer) -> Iterator[Database]:
    """An empty database, dropped when the test ends, whoever is still connected to it."""
    name = unique_name()
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        create_database(administrator, name)
    yield Database(name, server.dsn(name))
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        drop_database(administrator, name)


@pytest.fixture
def databases(server: EmbeddedServer) -> Iterator[Databases]:
    """Dropped at the end."""
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        made = Databases(server, administrator)
        yield made
        for name in made.made:
            made.alter(name, "IS_TEMPLATE false")
            made.alter(name, "ALLOW_CONNECTIONS true")
            drop_database(administrator, name)


@pytest.fixture
def make_role(server: EmbeddedServer, database: Database) -> Iterator[MakeRole]:
    """Creates login roles; they and what they own in the test's database are dropped at its end."""
    made: list[sql.Identifier] = []

    def make(options: LiteralString = "") -> str:
        name = unique_name("test_role")
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute(
                sql.SQL("CREATE ROLE {} LOGIN {}").format(sql.Identifier(name), sql.SQL(options))
            )
        made.append(sql.Identifier(name))
        return name

    yield make
    if made:
        with psycopg.connect(database.dsn, autocommit=True) as administrator:
            for role in made:
                administrator.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
                administrator.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def connect(
    server: EmbeddedServer,
    database: Database,
    make_role: MakeRole,  # so that connections are closed before their roles are dropped
) -> Iterator[Connect]:
    """Opens connections to the test's database, or another; closed at its end, even if they are blocked."""
    opened: list[Connection[TupleRow]] = []
    own = database.name

    def open_connection(
        application_name: str | None = None,
        database: str | None = None,
        user: str | None = None,
        autocommit: bool = False,
    ) -> Connection[TupleRow]:
        dsn = server.dsn(database or own, user or "postgres")
        connection = psycopg.connect(dsn, autocommit=autocommit, application_name=application_name)
        opened.append(connection)
        return connection

    yield open_connection
    close_at_once(opened, server.dsn())


@pytest.fixture
def owner(connect: Connect) -> Connection[TupleRow]:
    """A superuser's session in the test's database."""
    return connect(autocommit=True)


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests have their state, each in a directory of its own."""
    return tmp_path_factory.mktemp("states")


@pytest.fixture(autouse=True)
def state(states: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The account's state directory, as far as a test knows: history and ended leases of this test alone.

    What somebody prefers on this machine isn't known there, either.
    """
    place = states / unique_name()
    monkeypatch.setenv("XDG_STATE_HOME", str(place))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    return place


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory without any configuration of ours above it."""
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


@pytest.fixture
def pytester(pytester: pytest.Pytester, python: str, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytest's own, whose runs load the plugins that suites of these tests need: all others take seconds."""
    assert python
    run = pytester.runpytest_subprocess

    def run_with_plugins(
        *arguments: str | os.PathLike[str], timeout: float | None = None
    ) -> pytest.RunResult:
        files = [path for kind in ("*.py", "*.ini") for path in pytester.path.rglob(kind)]
        monkeypatch.setenv("PYTEST_ADDOPTS", suites_plugins(path.read_text() for path in files))
        return run(*arguments, timeout=timeout)

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(pytester, "runpytest_subprocess", run_with_plugins)
    return pytester
