"""The fixtures of rollback isolation, there whether the plugin is on or off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session


@pytest.fixture(scope="session")
def pgwatch_engine(pgwatch_dsn: str) -> Iterator[Engine]:
    """The engine of SQLAlchemy whose connections fixtures roll back: override it with the application's."""
    from pgwatch_tests.testing.isolation.suite_engine import suite_engine

    with suite_engine(pgwatch_dsn) as engine:
        yield engine


@pytest.fixture(scope="session")
def pgwatch_async_engine(pgwatch_dsn: str) -> AsyncEngine:
    """`pgwatch_engine` for asyncio: override it with the application's."""
    from pgwatch_tests.testing.isolation.suite_engine import async_suite_engine

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
    from pgwatch_tests.pytest_plugin.self_waits import tell_self_waits
    from pgwatch_tests.testing import rollback_connection

    tell_self_waits(pytestconfig)
    with rollback_connection(pgwatch_engine, *pgwatch_sessionmakers) as connection:
        yield connection


@pytest.fixture(name="rollback_session")
def rollback_session_fixture(
    pgwatch_engine: Engine, pgwatch_sessionmakers: Sequence[Any], pytestconfig: pytest.Config
) -> Iterator[Session]:
    """A session of `pgwatch_engine` whose commits are undone at the test's end."""
    from pgwatch_tests.pytest_plugin.self_waits import tell_self_waits
    from pgwatch_tests.testing import rollback_session

    tell_self_waits(pytestconfig)
    with rollback_session(pgwatch_engine, *pgwatch_sessionmakers) as session:
        yield session


async def _async_rollback_connection(
    pgwatch_async_engine: AsyncEngine, pgwatch_async_sessionmakers: Sequence[Any], pytestconfig: pytest.Config
) -> AsyncIterator[AsyncConnection]:
    """A connection of `pgwatch_async_engine` whose commits are undone at the test's end."""
    from pgwatch_tests.pytest_plugin.self_waits import tell_self_waits
    from pgwatch_tests.testing import async_rollback_connection

    tell_self_waits(pytestconfig)
    async with async_rollback_connection(pgwatch_async_engine, *pgwatch_async_sessionmakers) as connection:
        yield connection


async def _async_rollback_session(
    pgwatch_async_engine: AsyncEngine, pgwatch_async_sessionmakers: Sequence[Any], pytestconfig: pytest.Config
) -> AsyncIterator[AsyncSession]:
    """A session of `pgwatch_async_engine` whose commits are undone at the test's end."""
    from pgwatch_tests.pytest_plugin.self_waits import tell_self_waits
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
