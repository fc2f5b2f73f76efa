"""Errors about locks are found whatever driver tells them, and however they are wrapped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from django.db.utils import DatabaseErrorWrapper
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import create_async_engine

from pgwatch_tests.pytest_plugin.blocking.lock_errors import LockError, lock_errors
from tests.servers.sessions import Connect, Database

WAIT = "UPDATE t SET a = 2"
LIMIT = "SET lock_timeout = '20ms'"
TIMED_OUT = "canceling statement due to lock timeout"


@pytest.fixture
def locked(database: Database, connect: Connect) -> Iterator[Database]:
    holder = connect()
    holder.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    holder.commit()
    holder.execute("UPDATE t SET a = 3")
    yield database
    holder.rollback()


def raised(waits: Callable[[list[int]], None]) -> tuple[list[LockError], list[int]]:
    """What is found in what it raises, and the pids of its sessions."""
    pids: list[int] = []
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        waits(pids)
    return lock_errors(caught.value), pids


def test_psycopg_plain_and_wrapped_by_django_and_in_a_group(locked: Database) -> None:
    with psycopg.connect(locked.dsn, autocommit=True) as connection:

        def wait() -> None:
            connection.execute(LIMIT)
            connection.execute(WAIT)

        def plain(pids: list[int]) -> None:
            wait()

        def wrapped(pids: list[int]) -> None:
            wrapper = DatabaseErrorWrapper(SimpleNamespace(Database=psycopg, errors_occurred=False))
            with wrapper:
                wait()

        def grouped(pids: list[int]) -> None:
            try:
                wait()
            except psycopg.Error as error:
                raise ExceptionGroup("both", [ValueError(), ExceptionGroup("inner", [error])]) from None

        def in_handling(pids: list[int]) -> None:
            try:
                wait()
            except psycopg.Error:
                raise AssertionError("500") from None

        expected = [LockError("55P03", TIMED_OUT, connection.info.backend_pid)]
        for waits in (plain, wrapped, grouped, in_handling):
            assert raised(waits)[0] == expected, waits


def test_psycopg2_and_asyncpg_and_sqlalchemy_on_them(locked: Database) -> None:
    def with_psycopg2(pids: list[int]) -> None:
        connection = psycopg2.connect(locked.dsn)
        try:
            pids.append(connection.get_backend_pid())
            connection.cursor().execute(f"{LIMIT}; {WAIT}")
        finally:
            connection.close()

    def with_sqlalchemy(pids: list[int]) -> None:
        engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(locked.dsn))
        with engine.connect() as connection:
            pids.append(connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)
            connection.execute(sa.text(LIMIT))
            connection.execute(sa.text(WAIT))

    parameters = conninfo_to_dict(locked.dsn)
    where = {
        "host": parameters["host"],
        "port": parameters.get("port"),
        "user": parameters.get("user"),
        "database": parameters["dbname"],
    }

    async def ask_asyncpg(pids: list[int]) -> None:
        connection = await asyncpg.connect(**where)
        try:
            pids.append(connection.get_server_pid())
            await connection.execute(LIMIT)
            await connection.execute(WAIT)
        finally:
            connection.terminate()

    async def ask_sqlalchemy(pids: list[int]) -> None:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(**where))
        try:
            async with engine.connect() as connection:
                pids.append((await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one())
                await connection.execute(sa.text(LIMIT))
                await connection.execute(sa.text(WAIT))
        finally:
            await engine.dispose()

    for waits in (
        with_psycopg2,
        with_sqlalchemy,
        lambda pids: asyncio.run(ask_asyncpg(pids)),
        lambda pids: asyncio.run(ask_sqlalchemy(pids)),
    ):
        [error], pids = raised(waits)
        assert (error.sqlstate, error.message) == ("55P03", TIMED_OUT)
        # A closed connection of psycopg 2 doesn't tell any more.
        assert error.pid in (*pids, None)


def test_other_errors_are_none(locked: Database) -> None:
    with psycopg.connect(locked.dsn, autocommit=True) as connection:

        def divide(pids: list[int]) -> None:
            connection.execute("SELECT 1 / 0")

        assert raised(divide)[0] == []
