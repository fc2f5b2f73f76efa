"""A transaction that a test leaves open is told right at its end, by its own client."""

from __future__ import annotations

import threading
from contextlib import closing

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa

from pgwatch_tests.testing.current_test import Owner, running
from tests.testing.connections.watch import Watch

REASON = "left a transaction open in {}, which wrote to t: it keeps its locks"


def told(watch: Watch, owner: Owner) -> list[tuple[str, Owner | None, str]]:
    """What is told of an owner that ends now."""
    watch.findings.clear()
    owner.end()
    watch.drivers.tell_open_transactions(owner)
    return [(one.kind, one.owner, one.reason) for one in watch.findings]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("fails", [False, True])
def test_one_that_is_open_is_told_once(driver: str, fails: bool, watch: Watch) -> None:
    engine = sa.create_engine(watch.url(driver))
    watch.drivers.look()
    with closing(engine.connect()) as connection:
        with running(watch.one):
            connection.execute(sa.text("INSERT INTO t DEFAULT VALUES"))
            if fails:
                with pytest.raises(sa.exc.DBAPIError):
                    connection.execute(sa.text("SELECT 1 / 0"))
        reason = REASON.format(watch.database.name)
        assert told(watch, watch.one) == [("open_transaction", watch.one, reason)]
        assert told(watch, watch.one) == []
        if not fails:
            with running(watch.two):
                connection.execute(sa.text("SELECT"))
        assert watch.findings == []
    engine.dispose()


async def test_one_of_asyncpg(watch: Watch) -> None:
    with running(watch.one):
        connection = await asyncpg.connect(watch.database.dsn)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("INSERT INTO t DEFAULT VALUES")
    [(kind, _, _)] = told(watch, watch.one)
    assert kind == "open_transaction"
    await connection.close()
    assert told(watch, watch.one) == []


def test_what_is_ended_or_begun_by_others_is_not_told(watch: Watch) -> None:
    with (
        psycopg.connect(watch.database.dsn) as committed,
        psycopg.connect(watch.database.dsn, autocommit=True) as automatic,
        psycopg.connect(watch.database.dsn) as of_fixture,
    ):
        with running(Owner("fixture", "fixture db [session]")):
            of_fixture.execute("SELECT")
        with running(watch.one):
            committed.execute("INSERT INTO t DEFAULT VALUES")
            committed.commit()
            automatic.execute("INSERT INTO t DEFAULT VALUES")
            of_fixture.execute("INSERT INTO t DEFAULT VALUES")
            psycopg.connect(watch.database.dsn).close()
            closed = psycopg.connect(watch.database.dsn)
            closed.execute("SELECT")
            closed.close()
        assert told(watch, watch.one) == []


def test_a_thread_gets_a_moment_to_end_its_own(watch: Watch) -> None:
    begun, ending = threading.Event(), threading.Event()

    def work() -> None:
        with psycopg.connect(watch.database.dsn) as connection:
            connection.execute("INSERT INTO t DEFAULT VALUES")
            begun.set()
            ending.wait(10)

    with running(watch.one):
        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(10)
    timer = threading.Timer(0.01, ending.set)
    timer.start()
    assert told(watch, watch.one) == []
    thread.join()
    timer.join()
