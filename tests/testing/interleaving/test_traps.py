"""Actors that don't stand still: each has its message, none hangs, and none runs on unseen."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial

import psycopg
import psycopg2
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.testing import interleave, interleave_async
from tests.servers.poolers import pooler
from tests.servers.sessions import Connect
from tests.testing.interleaving.conftest import Book, Shop, counter, explored
from tests.waiting import wait_until


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("interleave")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> None:
    """No test before this one has left a thread."""
    wait_until(lambda: not threads())


def test_one_whose_statements_pass_no_gate_is_told(shop: Shop) -> None:
    def book(slot: int) -> None:
        connection = psycopg2.connect(shop.dsn)
        try:
            connection.cursor().execute("INSERT INTO booking (slot) VALUES (%s)", [slot])
            connection.commit()
        finally:
            connection.close()

    found = explored(book, book, shop=shop)

    assert not found.complete
    assert "actor A made no step in any schedule" in found.trouble
    assert "ended before its first one: None." in found.trouble


def test_one_that_sleeps_between_statements_is_waited_for(shop: Shop, connect: Connect) -> None:
    found = explored(counter(connect(), lambda: time.sleep(0.01)), counter(connect()), shop=shop)

    assert found.complete, found
    assert not found.trouble


def test_one_that_calls_out_for_good_is_told_with_its_place(shop: Shop, connect: Connect) -> None:
    asked = threading.Event()
    connection = connect()
    try:
        found = explored(counter(connection, lambda: asked.wait(60)), counter(connect()), shop=shop)
        locks = shop.administrator.execute(
            "SELECT count(*) FROM pg_locks WHERE pid = %s", [connection.info.backend_pid]
        ).fetchone()
        assert locks == (0,)
    finally:
        asked.set()

    assert not found.complete
    assert "actor A has neither come to its next statement nor ended in 0.7 s" in found.trouble
    assert "test_traps.py:" in found.trouble
    assert "asked.wait(60)" in found.trouble
    assert (
        "interleave A couldn't be ended and still runs; its session was ended (pg_terminate_backend), and "
        "with it its open transaction" in found.trouble
    )
    with pytest.raises(AssertionError, match="actor A has neither"):
        found.assert_holds()


def test_one_that_never_asks_the_database_again_is_ended(shop: Shop, connect: Connect) -> None:
    def spin() -> None:
        while True:
            sum(range(100))

    found = explored(counter(connect(), spin), counter(connect()), shop=shop)

    assert "actor A has neither come to its next statement" in found.trouble
    assert "still runs" not in found.trouble
    assert not threads()


def test_one_that_never_ends_is_told(shop: Shop, connect: Connect) -> None:
    connection = connect()

    def retry(slot: int) -> None:
        while True:
            with connection.transaction():
                connection.execute("SELECT taken FROM slot WHERE id = %s", [slot])

    found = explored(retry, counter(connect()), shop=shop)

    assert "actor A doesn't end: 200 steps were made" in found.trouble
    assert "Bound its retries" in found.trouble


def test_a_statement_that_waits_for_no_lock_is_told(shop: Shop, connect: Connect) -> None:
    connection = connect()

    def sleep(_: int) -> None:
        connection.execute("SELECT pg_sleep(60)")

    found = explored(sleep, counter(connect()), shop=shop)

    assert "no lock of another actor holds it up" in found.trouble
    assert "wait event Timeout/PgSleep" in found.trouble
    assert not threads()


def test_one_that_listens_is_told(shop: Shop, connect: Connect) -> None:
    connection = connect(autocommit=True)

    def listen(_: int) -> None:
        connection.execute("LISTEN bookings")
        for _notification in connection.notifies(timeout=30):
            return

    found = explored(listen, counter(connect()), shop=shop)

    assert "actor A has neither come to its next statement nor ended" in found.trouble
    assert ".notifies(timeout=30)" in found.trouble


def test_a_session_that_is_no_actor_is_told(shop: Shop, connect: Connect) -> None:
    outsider = connect("somebody else's test")
    outsider.execute("LOCK TABLE slot IN ACCESS EXCLUSIVE MODE")
    slot_connection, other = connect(), connect()

    def read(_: object) -> None:
        slot_connection.execute("SELECT taken FROM slot")

    found = interleave(
        read,
        lambda _: other.execute("SELECT 1 + 1"),
        setup=lambda: 1,
        invariant=lambda *_: True,
        step_timeout_s=0.7,
    )

    assert (
        f'it waits for session {outsider.info.backend_pid}: application "somebody else\'s test"'
        in found.trouble
    )
    assert "idle in transaction" in found.trouble


def test_one_that_waits_for_itself_is_told(shop: Shop, connect: Connect) -> None:
    first, second = connect(), connect()

    def twice(slot: int) -> None:
        with first.transaction():
            first.execute("UPDATE slot SET taken = 1 WHERE id = %s", [slot])
            second.execute("UPDATE slot SET taken = 2 WHERE id = %s", [slot])

    found = explored(twice, counter(connect()), shop=shop)

    assert "actor A waits for itself" in found.trouble
    assert not threads()


def test_a_deadlock_over_two_connections_is_told(shop: Shop, connect: Connect) -> None:
    def crossing(
        first: Connection[TupleRow], second: Connection[TupleRow]
    ) -> Callable[[tuple[int, int]], None]:
        def cross(slots: tuple[int, int]) -> None:
            with first.transaction():
                first.execute("UPDATE slot SET taken = 1 WHERE id = %s", [slots[0]])
                with second.transaction():
                    second.execute("UPDATE slot SET taken = 1 WHERE id = %s", [slots[1]])

        return cross

    forwards, backwards = crossing(connect(), connect()), crossing(connect(), connect())
    found = interleave(
        forwards, lambda slots: backwards(slots[::-1]), setup=shop.two_slots, invariant=lambda *_: True
    )

    assert "a deadlock that the server can't see" in found.trouble
    assert not threads()


def test_two_connections_that_don_t_meet_are_fine(shop: Shop, connect: Connect) -> None:
    first, second = connect(), connect()

    def both(slot: int) -> None:
        with first.transaction():
            first.execute("UPDATE slot SET taken = 1 WHERE id = %s", [slot])
            with second.transaction():
                second.execute("INSERT INTO note (text) VALUES ('x')")

    found = explored(both, counter(connect()), shop=shop, step_timeout_s=5)

    assert found.complete, found


def test_a_connection_that_two_actors_share_is_told(shop: Shop, connect: Connect) -> None:
    connection = connect()
    found = explored(counter(connection), counter(connection), shop=shop)

    assert "another actor uses the same connection" in found.trouble


def test_what_one_raises_is_its_outcome(shop: Shop, connect: Connect) -> None:
    def die(_: int) -> None:
        raise SystemExit(3)

    seen = []
    interleave(die, counter(connect()), setup=shop.slot, invariant=lambda _, outcomes: seen.append(outcomes))

    assert {one[0].signature for one in seen} == {"SystemExit"}
    assert {one[1].signature for one in seen} == {"None"}


def test_one_that_leaves_its_transaction_open_is_rolled_back_and_told(shop: Shop, connect: Connect) -> None:
    connection = connect()

    def leave(_: int) -> None:
        connection.execute("INSERT INTO note (text) VALUES ('x')")

    found = explored(leave, lambda _: None, shop=shop)

    assert "actor A ended with a transaction open: it was rolled back" in found.notes
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_one_that_ends_and_keeps_what_another_waits_for_is_told(shop: Shop, connect: Connect) -> None:
    connection = connect()

    def leave(slot: int) -> None:
        connection.execute("UPDATE slot SET taken = 1 WHERE id = %s", [slot])

    found = explored(leave, counter(connect()), shop=shop)

    assert (
        "no actor can go on: actor B waits for A, which has ended with its transaction open" in found.trouble
    )
    assert not threads()


def test_a_transaction_that_is_closed_away_frees_its_locks(shop: Shop, connect: Connect) -> None:
    def close(slot: int) -> None:
        connection = psycopg.connect(shop.dsn)
        connection.execute("UPDATE slot SET taken = 5 WHERE id = %s", [slot])
        connection.close()

    found = explored(close, counter(connect()), shop=shop, step_timeout_s=5)

    assert found.complete, found


def test_one_that_isn_t_deterministic_is_told(shop: Shop, connect: Connect) -> None:
    connection, calls = connect(), iter(range(1_000_000))

    def fickle(slot: int) -> None:
        column = psycopg.sql.Identifier("id" if next(calls) % 2 else "taken")
        with connection.transaction():
            connection.execute(psycopg.sql.SQL("SELECT {} FROM slot WHERE id = %s").format(column), [slot])
            connection.execute("UPDATE slot SET taken = 3 WHERE id = %s", [slot])

    found = explored(fickle, counter(connect()), shop=shop, step_timeout_s=5)

    assert not found.complete
    assert "the actors aren't deterministic" in found.why


def test_what_lies_past_the_limits_is_told(shop: Shop, bookers: list[Book]) -> None:
    few = interleave(*bookers, setup=shop.slot, invariant=lambda *_: True, max_schedules=3)
    assert not few.complete
    assert few.explored == 3
    assert few.left > 0
    assert "stopped after max_schedules=3" in few.why

    short = interleave(
        *bookers, setup=shop.slot, invariant=lambda *_: True, max_seconds=0.2, max_preemptions=None
    )
    assert not short.complete
    assert "then" in short.why
    assert "random schedule" in short.why
    assert "with odds of at least 1 in" in short.why
    with pytest.raises(ValueError, match="2 to 4 functions"):
        interleave(bookers[0])


def test_a_pooler_is_told(server: EmbeddedServer, shop: Shop) -> None:
    with pooler(server, "transaction") as pooled:
        connections = [psycopg.connect(pooled.dsn(shop.administrator.info.dbname)) for _ in range(2)]
        found = explored(*(counter(one) for one in connections), shop=shop)
        for connection in connections:
            connection.close()

    assert "connect to the server directly, not through a pooler" in found.trouble
    assert not threads()


async def test_an_exploration_that_is_cancelled_leaves_no_task(shop: Shop) -> None:
    connections = [await psycopg.AsyncConnection.connect(shop.dsn) for _ in range(2)]
    begun = asyncio.Event()

    async def linger(connection: psycopg.AsyncConnection[TupleRow]) -> None:
        await connection.execute("SELECT count(*) FROM slot")
        begun.set()
        await asyncio.sleep(60)

    exploring = asyncio.ensure_future(
        interleave_async(*(partial(linger, one) for one in connections), invariant=lambda *_: True)
    )
    await begun.wait()
    exploring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exploring

    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("interleave")] == []
    for connection in connections:
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        await connection.close()


@pytest.mark.parametrize("left", ["at a statement", "at a block's COMMIT", "at a connection's COMMIT"])
async def test_an_exploration_that_is_cancelled_leaves_no_session(
    shop: Shop, caplog: pytest.LogCaptureFixture, left: str
) -> None:
    async def count() -> None:
        async with await psycopg.AsyncConnection.connect(shop.dsn) as connection:
            if left == "at a connection's COMMIT":
                await connection.execute("SELECT count(*) FROM slot")
                exploring.cancel()
                return
            async with connection.transaction():
                await connection.execute("SELECT count(*) FROM slot")
                exploring.cancel()
                if left == "at a statement":
                    await connection.execute("UPDATE slot SET taken = 1")

    exploring = asyncio.ensure_future(interleave_async(count, count, invariant=lambda *_: True))
    with pytest.raises(asyncio.CancelledError):
        await exploring

    sessions = shop.administrator.execute(
        "SELECT application_name, state, query FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchall()
    assert sessions == []
    assert caplog.messages == []
