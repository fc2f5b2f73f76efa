"""The fixtures of the plugin, there whether it is on or off. Each imports what it needs when it is used.

They are one module, because each module would cost every run of pytest a part of a millisecond.
A run's rows are removed once all of its workers have ended: in the controller, whichever asked for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

    from pgwatch_tests.testing.factories import BoundFactory
    from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
    from pgwatch_tests.testing.isolation.migrations import MigrationsLike
    from pgwatch_tests.testing.isolation.suite_isolation import SuiteIsolation
    from pgwatch_tests.testing.named_locks import NamedLocks
    from pgwatch_tests.testing.removed_rows import RemovedRows

_OUTPUT = "pgwatch_cleanup_run"
"""Where a worker of pytest-xdist says in which databases it wrote."""
_DATABASES = pytest.StashKey[set[tuple[str, str]]]()
"""Databases, and the run that wrote there: workers know its id."""
_STAYING = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", name="run_id")
def run_id_fixture() -> str:
    """The id of this test run: 8 hex digits, the same in all workers."""
    from pgwatch_tests.testing import run_id

    return run_id()


@pytest.fixture(scope="session")
def pgwatch_run(run_id: str) -> str:
    """The id of this test run, for suites that have a fixture `run_id` of their own."""
    return run_id


@pytest.fixture(name="unique_email")
def unique_email_fixture() -> Callable[..., str]:
    """Returns a new email address: `unique_email(prefix, domain="test.example.com")`."""
    from pgwatch_tests.testing import unique_email

    return unique_email


@pytest.fixture(name="unique_id")
def unique_id_fixture() -> Callable[[str], str]:
    """Returns a new id: `unique_id(prefix)`."""
    from pgwatch_tests.testing import unique_id

    return unique_id


@pytest.fixture(scope="session")
def pgwatch_dsn(pytestconfig: pytest.Config) -> str:
    """The database of the suite, where fixtures make schemas and databases: override it if need be.

    It is that of `--pgwatch-dsn`, else of PGWATCH_DSN, DATABASE_URL or `[tool.pgwatch-tests] dsn`; empty for
    libpq's own variables.
    """
    from pgwatch_tests.errors import ConfigurationError
    from pgwatch_tests.settings.load import Flags, load

    try:
        return load(
            Flags(dsn=pytestconfig.getoption("--pgwatch-dsn")), start=Path(pytestconfig.rootpath)
        ).dsn.value
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture
def pgwatch_lock(pgwatch_dsn: str) -> Callable[..., NamedLocks]:
    """Returns named locks of the suite's server: `with pgwatch_lock("mail"):`, or `async with`."""
    from pgwatch_tests.testing import lock

    return partial(lock, dsn=pgwatch_dsn)


@pytest.fixture
def unique_factories(pgwatch_dsn: str) -> Iterator[BoundFactory[Any]]:
    """Has each UniqueFactory make its rows in the suite's database; they are removed when the test ends.

    In a session of its own. Needs the extra `factories`. For an AsyncSession: `async with Factory.using(…)`.
    """
    from pgwatch_tests.testing.factories import UniqueFactory
    from pgwatch_tests.testing.suite_engines import suite_engine

    factory: type[UniqueFactory[Any]] = UniqueFactory
    with suite_engine(pgwatch_dsn, pools=False) as engine, factory.using(engine) as bound:
        yield bound


@pytest.fixture
def cleanup_test(pgwatch_dsn: str, request: pytest.FixtureRequest) -> Iterator[Callable[[], RemovedRows]]:
    """Removes the test's rows in the suite's database when it ends, by its hash in their values.

    With `--pgwatch`, also by the transactions that have inserted them. Fixtures that hold connections should
    ask for it, so that they have ended before. The test may call it earlier, too. RowsStayError tells what
    stays.
    """
    from pgwatch_tests.testing import cleanup
    from pgwatch_tests.testing.removed_rows import tell

    remove = partial(cleanup.cleanup_test, pgwatch_dsn, test=request.node.nodeid)
    yield remove
    tell(remove())


@pytest.fixture(scope="session")
def cleanup_run(pgwatch_dsn: str, run_id: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Removes the rows of all tests of this run when it ends, in all of its workers."""
    yield
    output = getattr(request.config, "workeroutput", None)
    if isinstance(output, dict):
        output[_OUTPUT] = [pgwatch_dsn, run_id]
    else:
        request.config.stash.setdefault(_DATABASES, set()).add((pgwatch_dsn, run_id))


@pytest.fixture(scope="session")
def pgwatch_migrations() -> MigrationsLike:
    """The migrations of `isolated_schema` and `isolated_database`: override it (`testing.as_migrations`)."""
    return None


@pytest.fixture(scope="session")
def pgwatch_isolation(pgwatch_dsn: str) -> Iterator[SuiteIsolation]:
    """What the fixtures below share until this worker's session ends."""
    from pgwatch_tests.testing.isolation.suite_isolation import SuiteIsolation

    with SuiteIsolation(pgwatch_dsn) as isolation:
        yield isolation


@pytest.fixture
def isolated_schema(
    pgwatch_isolation: SuiteIsolation, pgwatch_migrations: MigrationsLike
) -> Iterator[IsolatedPlace]:
    """A schema of this test's own, with the migrations in it. `isolated_schema_fixture` has other scopes."""
    with pgwatch_isolation.schema(pgwatch_migrations) as place:
        yield place


@pytest.fixture
def isolated_database(
    pgwatch_isolation: SuiteIsolation, pgwatch_migrations: MigrationsLike
) -> Iterator[IsolatedPlace]:
    """This worker's database, with what the migrations made. Rows that the test adds are deleted after it.

    `isolated_database_fixture("test")` gives each test a database of its own.
    """
    with pgwatch_isolation.database(pgwatch_migrations) as place:
        yield place


@pytest.fixture(scope="session")
def pgwatch_engine(pgwatch_dsn: str) -> Iterator[Engine]:
    """The engine of SQLAlchemy whose connections fixtures roll back: override it with the application's."""
    from pgwatch_tests.testing.suite_engines import suite_engine

    with suite_engine(pgwatch_dsn) as engine:
        yield engine


@pytest.fixture(scope="session")
def pgwatch_async_engine(pgwatch_dsn: str) -> AsyncEngine:
    """`pgwatch_engine` for asyncio: override it with the application's."""
    from pgwatch_tests.testing.suite_engines import async_suite_engine

    return async_suite_engine(pgwatch_dsn)


@pytest.fixture
def pgwatch_sessionmakers() -> Sequence[Any]:
    """The application's `sessionmaker`s that `rollback_session` makes work in it: override it."""
    return ()


@pytest.fixture
def pgwatch_async_sessionmakers() -> Sequence[Any]:
    """`pgwatch_sessionmakers` for asyncio: override it."""
    return ()


@pytest.fixture(name="rollback_connection")
def rollback_connection_fixture(
    pgwatch_engine: Engine, pgwatch_sessionmakers: Sequence[Any], pytestconfig: pytest.Config
) -> Iterator[Connection]:
    """A connection of `pgwatch_engine` whose commits are undone at the test's end."""
    from pgwatch_tests.pytest_plugin.isolation_failures import tell_self_waits
    from pgwatch_tests.testing import rollback_connection

    tell_self_waits(pytestconfig)
    with rollback_connection(pgwatch_engine, *pgwatch_sessionmakers) as connection:
        yield connection


@pytest.fixture(name="rollback_session")
def rollback_session_fixture(
    pgwatch_engine: Engine, pgwatch_sessionmakers: Sequence[Any], pytestconfig: pytest.Config
) -> Iterator[Session]:
    """A session of `pgwatch_engine` whose commits are undone at the test's end."""
    from pgwatch_tests.pytest_plugin.isolation_failures import tell_self_waits
    from pgwatch_tests.testing import rollback_session

    tell_self_waits(pytestconfig)
    with rollback_session(pgwatch_engine, *pgwatch_sessionmakers) as session:
        yield session


async def _async_rollback_connection(
    pgwatch_async_engine: AsyncEngine, pgwatch_async_sessionmakers: Sequence[Any], pytestconfig: pytest.Config
) -> AsyncIterator[AsyncConnection]:
    """A connection of `pgwatch_async_engine` whose commits are undone at the test's end."""
    from pgwatch_tests.pytest_plugin.isolation_failures import tell_self_waits
    from pgwatch_tests.testing import async_rollback_connection

    tell_self_waits(pytestconfig)
    async with async_rollback_connection(pgwatch_async_engine, *pgwatch_async_sessionmakers) as connection:
        yield connection


async def _async_rollback_session(
    pgwatch_async_engine: AsyncEngine, pgwatch_async_sessionmakers: Sequence[Any], pytestconfig: pytest.Config
) -> AsyncIterator[AsyncSession]:
    """A session of `pgwatch_async_engine` whose commits are undone at the test's end."""
    from pgwatch_tests.pytest_plugin.isolation_failures import tell_self_waits
    from pgwatch_tests.testing import async_rollback_session

    tell_self_waits(pytestconfig)
    async with async_rollback_session(pgwatch_async_engine, *pgwatch_async_sessionmakers) as session:
        yield session


# So that pytest-asyncio runs them in its strict mode, too: its decorator does that, but isn't imported here.
for _of_asyncio in (_async_rollback_connection, _async_rollback_session):
    vars(_of_asyncio).update(_force_asyncio_fixture=True, _loop_scope=None)
async_rollback_connection_fixture = pytest.fixture(name="async_rollback_connection")(
    _async_rollback_connection
)
async_rollback_session_fixture = pytest.fixture(name="async_rollback_session")(_async_rollback_session)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Remembers where a worker of pytest-xdist wrote."""
    if written := getattr(node, "workeroutput", {}).get(_OUTPUT):
        node.config.stash.setdefault(_DATABASES, set()).add(tuple(written))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Removes the run's rows, if the fixture `cleanup_run` was used."""
    databases = session.config.stash.get(_DATABASES, set())
    if not databases:
        return
    from pgwatch_tests.errors import PgwatchError
    from pgwatch_tests.testing import cleanup
    from pgwatch_tests.testing.removed_rows import tell

    told = session.config.stash.setdefault(_STAYING, [])
    for dsn, run in sorted(databases):
        try:
            tell(cleanup.remove_own(dsn, run))
        except PgwatchError as error:
            told.append(str(error))
    if told and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says why rows of the run stay."""
    if told := config.stash.get(_STAYING, []):
        terminalreporter.section("rows of this run stay", red=True)
        for line in told:
            terminalreporter.line(line)
