"""Rollback isolation for asyncio, by either driver, and for an application of FastAPI."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from pgwatch_tests.testing.isolation.rollbacks.async_rollback import (
    async_rollback_connection,
    async_rollback_session,
)
from tests.servers.sessions import Database
from tests.testing.isolation.rollbacks.test_rollback import DEFERRED, SCHEMA, url_of

Make = Callable[..., AsyncEngine]
drivers = pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])


@pytest.fixture
async def make(database: Database) -> AsyncIterator[Make]:
    """Engines of the test's database, with its tables."""
    made = []

    def make_engine(driver: str, **options: object) -> AsyncEngine:
        made.append(create_async_engine(url_of(database, driver), **options))
        return made[-1]

    with psycopg.connect(database.dsn) as connection:
        connection.execute(SCHEMA)
        connection.execute(DEFERRED)
    yield make_engine
    for engine in made:
        await engine.dispose()


async def execute(connection: AsyncConnection | AsyncSession, statement: str) -> None:
    await connection.execute(sa.text(statement))


async def ids(connection: AsyncConnection | AsyncSession) -> list[int]:
    return list((await connection.execute(sa.text("SELECT id FROM users ORDER BY id"))).scalars())


@drivers
async def test_commits_stay_until_the_end_and_rollbacks_undo_what_came_since(make: Make, driver: str) -> None:
    engine = make(driver)
    local = async_sessionmaker(make(driver), expire_on_commit=False)
    # More often than psycopg takes to prepare what it is told.
    for _ in range(7):
        async with async_rollback_session(engine, local) as session:
            await execute(session, "INSERT INTO users VALUES (1, 'a')")
            await session.commit()
            with pytest.raises(IntegrityError, match="users_email_key"):
                await execute(session, "INSERT INTO users VALUES (2, 'a')")
            await session.rollback()
            await execute(session, "INSERT INTO bookings VALUES (1, 7)")
            with pytest.raises(IntegrityError, match="booked_by"):
                await session.commit()
            await session.rollback()
            async with local.begin() as application:
                await execute(application, "INSERT INTO bookings VALUES (1, 7)")
                await execute(application, "INSERT INTO users VALUES (7)")
            assert await ids(session) == [1, 7]
            async with engine.connect() as connection:
                assert await ids(connection) == []
        async with engine.connect() as connection:
            assert await ids(connection) == []
    assert local.kw["bind"] is not engine


@drivers
async def test_a_connection_behaves_as_the_applications_own(make: Make, driver: str) -> None:
    async with async_rollback_connection(make(driver)) as connection:
        async with connection.begin():
            await execute(connection, "INSERT INTO users VALUES (1)")
        await execute(connection, "INSERT INTO users VALUES (2)")
        await connection.rollback()
        async with connection.engine.connect() as other, other.begin():
            await execute(other, "INSERT INTO users VALUES (3)")
        assert await ids(connection) == [1, 3]
        with pytest.raises(InvalidRequestError, match="isolation level can't be changed"):
            await connection.execution_options(isolation_level="AUTOCOMMIT")
    with pytest.raises(InvalidRequestError, match="in autocommit mode"):
        async with async_rollback_connection(make(driver, isolation_level="AUTOCOMMIT")):
            pass


@drivers
async def test_an_application_of_fastapi_works_in_the_tests_transaction(make: Make, driver: str) -> None:
    engine = make(driver)
    local = async_sessionmaker(engine)
    app = FastAPI()

    async def session_of_request() -> AsyncIterator[AsyncSession]:
        async with local() as session:
            yield session

    @app.post("/users/{id_}", status_code=201)
    async def add(id_: int, session: Annotated[AsyncSession, Depends(session_of_request)]) -> None:
        await session.execute(sa.text("INSERT INTO users VALUES (:id)"), {"id": id_})
        await session.commit()

    async with (
        async_rollback_session(engine, local) as session,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        assert await ids(session) == []
        assert (await client.post("/users/1")).status_code == 201
        await session.rollback()
        assert await ids(session) == [1]
    async with engine.connect() as connection:
        assert await ids(connection) == []
