"""The demo's tables, and engines on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgwatch_tests.demo.booking import Base
from tests.servers.sessions import Database
from tests.testing.factories.strange_tables import StrangeBase


@pytest.fixture(params=["psycopg"])
def engine(database: Database, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine with a pool of one connection, so that whoever holds two would hang."""
    url = database.dsn.replace("postgresql://", f"postgresql+{request.param}://")
    made = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=5)
    Base.metadata.create_all(made)
    StrangeBase.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture(params=["psycopg", "asyncpg"])
async def async_engine(
    database: Database, engine: Engine, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncEngine]:
    """The same for asynchronous drivers."""
    assert engine
    url = database.dsn.replace("postgresql://", f"postgresql+{request.param}://")
    made = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=5)
    yield made
    await made.dispose()
