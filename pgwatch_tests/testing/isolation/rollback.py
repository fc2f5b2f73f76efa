"""Rollback isolation: whatever a test writes, and its application commits, is rolled back at its end.

    with rollback_session(engine, SessionLocal) as session:
        session.add(User(email="a@test.example.com"))
        session.commit()                  # stays for this test, and for SessionLocal(), alone

All works in one transaction of one connection, in which the application's transactions are savepoints: COMMIT
checks deferred constraints and keeps, ROLLBACK undoes what came since the last COMMIT. docs/rollback.md says
what of a real commit doesn't happen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.util import greenlet_spawn

from pgwatch_tests.testing.isolation.rollback_transaction import RollbackEngine, RollbackTransaction

Maker = sessionmaker[Any] | scoped_session[Any]
AsyncMaker = async_sessionmaker[Any]


@contextmanager
def rollback_engine(engine: Engine, *makers: Maker) -> Iterator[Engine]:
    """An engine for the application under test, whose connections are all in one transaction.

    Sessions of `makers` (`sessionmaker`, `scoped_session`) work in it, too, until the end. Raises
    sqlalchemy.exc.InvalidRequestError if `engine` is in autocommit mode, and what its `connect` does.
    """
    with engine.connect() as holder:
        transaction = RollbackTransaction(holder)
        inside = RollbackEngine(engine, {}, transaction)
        try:
            with _bound(makers, engine, inside):
                yield inside
        finally:
            _end(transaction, holder)


@contextmanager
def rollback_connection(engine: Engine, *makers: Maker) -> Iterator[Connection]:
    """A connection whose `commit()` is undone in the end, with all that sessions of `makers` do meanwhile.

    Raises what `rollback_engine` does.
    """
    with rollback_engine(engine, *makers) as inside, inside.connect() as connection:
        yield connection


@contextmanager
def rollback_session(engine: Engine, *makers: Maker, **options: Any) -> Iterator[Session]:
    """A session whose `commit()` is undone in the end, with all that other sessions of `makers` do meanwhile.

    It is made by the first of `makers`, if there is one, with further `options` of Session. Raises what
    `rollback_engine` does.
    """
    with rollback_engine(engine, *makers) as inside:
        session = _factory(makers[0])(**options) if makers else Session(inside, **options)
        with session:
            yield session


@asynccontextmanager
async def async_rollback_engine(engine: AsyncEngine, *makers: AsyncMaker) -> AsyncIterator[AsyncEngine]:
    """`rollback_engine` for asyncio; `makers` are `async_sessionmaker`s."""
    async with engine.connect() as holder:
        assert holder.sync_connection is not None, "it is connected"
        transaction = RollbackTransaction(holder.sync_connection)
        inside = AsyncEngine(RollbackEngine(engine.sync_engine, {}, transaction))
        try:
            with _bound(makers, engine, inside):
                yield inside
        finally:
            await greenlet_spawn(_end, transaction, holder.sync_connection)


@asynccontextmanager
async def async_rollback_connection(
    engine: AsyncEngine, *makers: AsyncMaker
) -> AsyncIterator[AsyncConnection]:
    """`rollback_connection` for asyncio."""
    async with async_rollback_engine(engine, *makers) as inside, inside.connect() as connection:
        yield connection


@asynccontextmanager
async def async_rollback_session(
    engine: AsyncEngine, *makers: AsyncMaker, **options: Any
) -> AsyncIterator[AsyncSession]:
    """`rollback_session` for asyncio."""
    async with async_rollback_engine(engine, *makers) as inside:
        session = makers[0](**options) if makers else AsyncSession(inside, **options)
        async with session:
            yield session


def _end(transaction: RollbackTransaction, holder: Connection) -> None:
    try:
        transaction.end()
    except holder.dialect.loaded_dbapi.Error:
        # The connection is lost, and the server has rolled all back.
        holder.invalidate()


def _factory(maker: Maker) -> sessionmaker[Any]:
    return maker.session_factory if isinstance(maker, scoped_session) else maker


@contextmanager
def _bound(
    makers: tuple[Maker, ...] | tuple[AsyncMaker, ...],
    engine: Engine | AsyncEngine,
    inside: Engine | AsyncEngine,
) -> Iterator[None]:
    """Has sessions of `makers` work on `inside`."""
    before = []
    for maker in makers:
        if isinstance(maker, scoped_session):
            maker.remove()
            maker = _factory(maker)
        before.append((maker, dict(maker.kw)))
        binds = maker.kw.get("binds")
        if binds:
            maker.kw["binds"] = {of: inside if bind is engine else bind for of, bind in binds.items()}
        maker.kw["bind"] = inside
    try:
        yield
    finally:
        for maker in makers:
            if isinstance(maker, scoped_session):
                maker.remove()
        for factory, options in before:
            factory.kw.clear()
            factory.kw.update(options)
