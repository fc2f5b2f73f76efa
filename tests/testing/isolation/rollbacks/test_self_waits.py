"""A test whose application waits for the test's own transaction fails at once, and is told why."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.testing import findings
from pgwatch_tests.testing.current_test import Owner, running
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.testing.isolation.rollbacks import self_waits
from pgwatch_tests.testing.isolation.rollbacks.async_rollback import async_rollback_session
from pgwatch_tests.testing.isolation.rollbacks.rollback import rollback_connection, rollback_session
from pgwatch_tests.testing.isolation.rollbacks.self_waits import SelfWaitError
from tests.servers.poolers import pooler
from tests.servers.sessions import Connect, Database, MakeRole
from tests.testing.isolation.rollbacks.test_rollback import Make, add, execute, make, url_of
from tests.waiting import PATIENCE_S, wait_until

__all__ = ["make"]

TEST = Owner("test", "tests/test_users.py::test_adds")
ADD = "INSERT INTO users VALUES (1, 'b')"
UPDATE = "UPDATE users SET email = 'c' WHERE id = 1"


@pytest.fixture
def told() -> Iterator[list[Finding]]:
    found: list[Finding] = []
    stop = findings.listen(found.append)
    with running(TEST):
        yield found
    stop()


def run_elsewhere(engine: sa.Engine, statement: str) -> None:
    with engine.begin() as connection:
        execute(connection, statement)


def wait_for_itself(engine: sa.Engine, statement: str) -> None:
    """Adds a user in a rolled back session, and swallows the error of the application's statement."""
    with rollback_session(engine) as session:
        add(session, 1, "a")
        session.commit()
        with pytest.raises(DBAPIError, match="canceling statement"):
            run_elsewhere(engine, statement)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_test_that_waits_for_itself_is_told(make: Make, driver: str, told: list[Finding]) -> None:
    engine = make(driver)

    def wait() -> None:
        with rollback_session(engine) as session:
            add(session, 1, "a")
            session.commit()
            run_elsewhere(make(driver), ADD)

    began = time.monotonic()
    with pytest.raises(DBAPIError, match="canceling statement") as failed:
        wait()
    assert time.monotonic() - began < 30
    (note,) = failed.value.__notes__
    for part in (
        "tests/test_users.py::test_adds waits for itself: another connection of its process (pid ",
        "for unique key of users",
        "which its rollback_session (pid ",
        f"holds until the test ends; the waiting statement: {ADD} → Have the application work in the test's",
        "pass its sessionmaker to rollback_session(engine, SessionLocal)",
        "The waiting statement was cancelled.",
    ):
        assert part in note
    (finding,) = told
    assert (finding.kind, finding.owner, finding.fails) == ("self_wait", TEST, True)
    assert note == f"{finding.reason} → {finding.advice}."
    with engine.connect() as connection:
        assert execute(connection, "SELECT FROM users").rowcount == 0


def test_an_application_that_hides_the_error_fails_the_test_all_the_same(
    make: Make, told: list[Finding]
) -> None:
    engine = make()
    with engine.begin() as connection:
        add(connection, 1, "a")

    def request() -> None:
        with pytest.raises(DBAPIError, match="canceling statement"):
            run_elsewhere(engine, UPDATE)

    def call() -> None:
        with rollback_connection(engine) as connection:
            execute(connection, UPDATE)
            server = threading.Thread(target=request)
            server.start()
            server.join()

    with pytest.raises(SelfWaitError, match=r"for row of users \(id=1\), which its rollback_connection"):
        call()
    assert len(told) == 1


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_tests_of_asyncio_are_told(
    make: Make, database: Database, driver: str, told: list[Finding]
) -> None:
    make()
    engine = create_async_engine(url_of(database, driver))

    async def wait() -> None:
        async with async_rollback_session(engine) as session:
            await session.execute(sa.text(ADD))
            await session.commit()
            async with asyncio.timeout(10), engine.begin() as application:
                await application.execute(sa.text(ADD))

    with pytest.raises(DBAPIError, match="canceling statement") as failed:
        await wait()
    assert "its async_rollback_session" in failed.value.__notes__[0]
    assert len(told) == 1
    await engine.dispose()


def test_a_table_is_named_too(make: Make) -> None:
    with pytest.raises(SelfWaitError, match=r"for table users, which"):
        wait_for_itself(make(), "TRUNCATE users")


def test_sessions_of_other_processes_are_left_alone(
    make: Make, python: str, database: Database, told: list[Finding], owner: Connection[TupleRow]
) -> None:
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    code = f"import psycopg; psycopg.connect({database.dsn!r}, autocommit=True).execute({ADD!r})"
    with rollback_session(make()) as session:
        add(session, 1)
        other = subprocess.Popen([python, "-c", code])
        wait_until(lambda: owner.execute(waiting).rowcount)
        (one,) = self_waits.all_watched()
        looks = one.looks
        wait_until(lambda: one.looks > looks + 3)
        assert owner.execute(waiting).rowcount == 1
        assert not one.is_given_up
    assert other.wait(PATIENCE_S) == 0
    assert told == []


def test_a_wait_of_another_role_is_ended_by_its_own_connection(
    make: Make, connect: Connect, make_role: MakeRole, owner: Connection[TupleRow], database: Database
) -> None:
    make()
    owner.execute("GRANT ALL ON users TO PUBLIC")
    engine = sa.create_engine(url_of(database, "psycopg").set(username=make_role()))

    def wait() -> None:
        with rollback_session(engine) as session:
            add(session, 1)
            with pytest.raises(psycopg.errors.QueryCanceled):
                connect(autocommit=True).execute("INSERT INTO users VALUES (1)")

    with pytest.raises(SelfWaitError, match="waits for itself"):
        wait()
    engine.dispose()


def test_behind_a_pooler_a_test_is_rolled_back_but_not_watched(
    make: Make, server: EmbeddedServer, database: Database
) -> None:
    with pooler(server, "transaction") as started:
        parameters = {
            str(name): value for name, value in conninfo_to_dict(started.dsn(database.name)).items()
        }
        engine = sa.create_engine("postgresql+psycopg://", connect_args=parameters)
        with rollback_session(engine) as session:
            add(session, 1)
            session.commit()
            (one,) = self_waits.all_watched()
            wait_until(lambda: one.is_given_up, message="it is given up")
        engine.dispose()
    with make().connect() as connection:
        assert execute(connection, "SELECT FROM users").rowcount == 0


def test_it_comes_back_when_there_is_a_connection_for_it(
    make: Make, server: EmbeddedServer, owner: Connection[TupleRow], make_role: MakeRole, database: Database
) -> None:
    make()
    owner.execute("GRANT ALL ON users TO PUBLIC")
    role = make_role("CONNECTION LIMIT 1")
    engine = sa.create_engine(url_of(database, "psycopg").set(username=role))

    def wait() -> None:
        with rollback_session(engine) as session:
            add(session, 1)
            (one,) = self_waits.all_watched()
            wait_until(lambda: one.rest_s > self_waits.LOOK_EVERY_S, message="it has found no connection")
            owner.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 3").format(sql.Identifier(role)))
            with pytest.raises(DBAPIError, match="canceling statement"):
                run_elsewhere(engine, ADD)

    with pytest.raises(SelfWaitError, match="waits for itself"):
        wait()
    engine.dispose()


def test_its_own_connection_is_not_idle_in_the_suites_database(
    make: Make, server: EmbeddedServer, owner: Connection[TupleRow], make_role: MakeRole, database: Database
) -> None:
    """Where a role may not connect to the maintenance database, it looks from the suite's, and leaves."""
    make()
    owner.execute("GRANT ALL ON users TO PUBLIC")
    engine = sa.create_engine(url_of(database, "psycopg").set(username=make_role("CONNECTION LIMIT 2")))
    idle = (
        "SELECT FROM pg_stat_activity WHERE application_name = 'pgwatch-tests' "
        "AND datname = current_database()"
    )
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        try:
            with rollback_session(engine) as session:
                add(session, 1)
                session.commit()
                (one,) = self_waits.all_watched()
                wait_until(lambda: one.looks > 3)
                assert not one.is_given_up
                wait_until(lambda: owner.execute(idle).rowcount == 0)
        finally:
            administrator.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
    engine.dispose()
