"""Rollback isolation: whatever a test writes, and its application commits, is rolled back at its end.

    with rollback_session(engine, SessionLocal) as session:
        session.add(User(email="a@test.example.com"))
        session.commit()                  # stays for this test, and for SessionLocal(), alone

All works in one transaction of one connection, in which the application's transactions are savepoints: COMMIT
checks deferred constraints and keeps, ROLLBACK undoes what came since the last COMMIT. docs/rollback.md says
what of a real commit doesn't happen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, overload

import psycopg
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgwatch_tests.testing.isolation.rollbacks.psycopg_rollback import psycopg_rollback_connection
from pgwatch_tests.testing.isolation.rollbacks.rollback_transaction import RollbackEngine, RollbackTransaction
from pgwatch_tests.testing.isolation.rollbacks.self_waits import watched

Maker = sessionmaker[Any] | scoped_session[Any]


class Factory(Protocol):
    """A `sessionmaker`, or an `async_sessionmaker`."""

    kw: dict[str, Any]
    """The options that its sessions are made with."""


@contextmanager
def rollback_engine(engine: Engine, *makers: Maker) -> Iterator[Engine]:
    """An engine for the application under test, whose connections are all in one transaction.

    Sessions of `makers` (`sessionmaker`, `scoped_session`) work in it, too, until the end. Raises
    sqlalchemy.exc.InvalidRequestError if `engine` is in autocommit mode, what its `connect` does, and
    SelfWaitError in the end if the application has waited for the test itself.
    """
    with _rolled_back(engine, makers, "rollback_engine") as inside:
        yield inside


@overload
def rollback_connection(engine: Engine, *makers: Maker) -> AbstractContextManager[Connection]: ...


@overload
def rollback_connection(engine: str, **options: Any) -> AbstractContextManager[psycopg.Connection]: ...


def rollback_connection(
    engine: Engine | str, *makers: Maker, **options: Any
) -> AbstractContextManager[Connection] | AbstractContextManager[psycopg.Connection]:
    """A connection whose `commit()` is undone in the end, with all that sessions of `makers` do meanwhile.

    With a connection string instead of an engine, it is one of psycopg 3 (`options` as of its `connect`).
    Raises what `rollback_engine` does, and psycopg's errors.
    """
    return _plain(engine, options) if isinstance(engine, str) else _connection(engine, makers)


@contextmanager
def _connection(engine: Engine, makers: Sequence[Maker]) -> Iterator[Connection]:
    with _rolled_back(engine, makers, "rollback_connection") as inside, inside.connect() as connection:
        yield connection


@contextmanager
def _plain(dsn: str, options: Mapping[str, Any]) -> Iterator[psycopg.Connection]:
    with (
        psycopg_rollback_connection(dsn, **options) as connection,
        watched(connection, "rollback_connection"),
    ):
        yield connection


@contextmanager
def rollback_session(engine: Engine, *makers: Maker, **options: Any) -> Iterator[Session]:
    """A session whose `commit()` is undone in the end, with all that other sessions of `makers` do meanwhile.

    It is made by the first of `makers`, if there is one, with further `options` of Session. Raises what
    `rollback_engine` does.
    """
    with _rolled_back(engine, makers, "rollback_session") as inside:
        session = _factory(makers[0])(**options) if makers else Session(inside, **options)
        with session:
            yield session


@contextmanager
def _rolled_back(engine: Engine, makers: Sequence[Maker], called: str) -> Iterator[Engine]:
    with engine.connect() as holder:
        transaction = RollbackTransaction(holder)
        inside = RollbackEngine(engine, {}, transaction)
        with watched(transaction, called):
            try:
                with _bound(makers, engine, inside):
                    yield inside
            finally:
                end(transaction, holder)


def end(transaction: RollbackTransaction, holder: Connection) -> None:
    """Rolls all back."""
    try:
        transaction.end()
    except holder.dialect.loaded_dbapi.Error:
        # The connection is lost, and the server has rolled all back.
        holder.invalidate()


def _factory(maker: Maker) -> sessionmaker[Any]:
    return maker.session_factory if isinstance(maker, scoped_session) else maker


@contextmanager
def _bound(makers: Sequence[Maker], engine: Engine, inside: Engine) -> Iterator[None]:
    scoped = [maker for maker in makers if isinstance(maker, scoped_session)]
    for maker in scoped:
        maker.remove()
    try:
        with bound([_factory(maker) for maker in makers], engine, inside):
            yield
    finally:
        for maker in scoped:
            maker.remove()


@contextmanager
def bound(factories: Sequence[Factory], engine: object, inside: object) -> Iterator[None]:
    """Has sessions of the factories work on `inside`; those that models bind to `engine`, too."""
    before = [dict(factory.kw) for factory in factories]
    for factory in factories:
        if binds := factory.kw.get("binds"):
            factory.kw["binds"] = {of: inside if bind is engine else bind for of, bind in binds.items()}
        factory.kw["bind"] = inside
    try:
        yield
    finally:
        for factory, options in zip(factories, before, strict=True):
            factory.kw.clear()
            factory.kw.update(options)
