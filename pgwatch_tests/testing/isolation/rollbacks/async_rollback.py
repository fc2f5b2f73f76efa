"""Rollback isolation for asyncio: see `pgwatch_tests.testing.isolation.rollbacks.rollback`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.util import greenlet_spawn

from pgwatch_tests.testing.isolation.rollbacks.rollback import bound, end
from pgwatch_tests.testing.isolation.rollbacks.rollback_transaction import RollbackEngine, RollbackTransaction
from pgwatch_tests.testing.isolation.rollbacks.self_waits import watched

AsyncMaker = async_sessionmaker[Any]


@asynccontextmanager
async def async_rollback_engine(engine: AsyncEngine, *makers: AsyncMaker) -> AsyncIterator[AsyncEngine]:
    """`rollback_engine` for asyncio; `makers` are `async_sessionmaker`s."""
    async with _rolled_back(engine, makers, "async_rollback_engine") as inside:
        yield inside


@asynccontextmanager
async def async_rollback_connection(
    engine: AsyncEngine, *makers: AsyncMaker
) -> AsyncIterator[AsyncConnection]:
    """`rollback_connection` for asyncio."""
    async with (
        _rolled_back(engine, makers, "async_rollback_connection") as inside,
        inside.connect() as connection,
    ):
        yield connection


@asynccontextmanager
async def async_rollback_session(
    engine: AsyncEngine, *makers: AsyncMaker, **options: Any
) -> AsyncIterator[AsyncSession]:
    """`rollback_session` for asyncio."""
    async with _rolled_back(engine, makers, "async_rollback_session") as inside:
        session = makers[0](**options) if makers else AsyncSession(inside, **options)
        async with session:
            yield session


@asynccontextmanager
async def _rolled_back(
    engine: AsyncEngine, makers: Sequence[AsyncMaker], called: str
) -> AsyncIterator[AsyncEngine]:
    async with engine.connect() as holder:
        assert holder.sync_connection is not None, "it is connected"
        transaction = RollbackTransaction(holder.sync_connection)
        inside = AsyncEngine(RollbackEngine(engine.sync_engine, {}, transaction))
        with watched(transaction, called):
            try:
                with bound(makers, engine, inside):
                    yield inside
            finally:
                await greenlet_spawn(end, transaction, holder.sync_connection)
