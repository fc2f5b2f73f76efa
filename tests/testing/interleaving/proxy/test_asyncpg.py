"""asyncpg through the proxy: pools, prepared statements, cursors, COPY, deadlocks, faults, levels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import asyncpg
import pytest

from pgwatch_tests.testing import (
    InterleaveProxy,
    Outcome,
    interleave_requests,
    interleave_requests_async,
    replay_requests_async,
)
from pgwatch_tests.testing.interleaving.controller import DivergedError
from tests.testing.interleaving.conftest import Shop

Book = Callable[[int], Awaitable[object]]


@pytest.fixture
async def proxy(shop: Shop) -> AsyncIterator[InterleaveProxy]:
    async with InterleaveProxy(shop.dsn) as opened:
        yield opened


@pytest.fixture
async def pool(proxy: InterleaveProxy) -> AsyncIterator[asyncpg.Pool]:
    """One pool for all actors: who runs tells whose a connection is."""
    async with asyncpg.create_pool(proxy.dsn, min_size=2, max_size=4) as opened:
        yield opened


def booker(pool: asyncpg.Pool, ahead: str = "SELECT id FROM slot WHERE id = $1") -> Book:
    async def book(slot: int) -> bool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetchval(ahead, slot)
            if await connection.fetchval("SELECT count(*) FROM booking WHERE slot = $1", slot):
                return False
            await connection.execute("INSERT INTO booking (slot, who) VALUES ($1, $2)", slot, "x")
        return True

    return book


async def book_by_dsn(slot: int, dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            if await connection.fetchval("SELECT count(*) FROM booking WHERE slot = $1", slot):
                return False
            await connection.execute("INSERT INTO booking (slot, who) VALUES ($1, 'x')", slot)
        return True
    finally:
        await connection.close()


async def test_a_double_booking_is_found_and_replayed(shop: Shop) -> None:
    found = await interleave_requests_async(
        shop.dsn, book_by_dsn, book_by_dsn, setup=shop.slot, invariant=shop.is_booked_once
    )

    assert found.complete, found
    assert min(one.number for one in found.bad) <= 5
    text = str(found)
    assert "SELECT count(*) FROM booking WHERE slot = " in text
    assert "→ 0" in text
    assert "'x'); COMMIT  1 row" in text
    assert "a UNIQUE constraint on booking(slot); SERIALIZABLE (tried:" in text
    assert not found.notes
    for _ in range(3):
        again = await replay_requests_async(
            found.bad[0], shop.dsn, book_by_dsn, book_by_dsn, setup=shop.slot, invariant=shop.is_booked_once
        )
        assert [one.id for one in again.bad] == [found.bad[0].id]
    with pytest.raises(DivergedError, match="expected the hash 0000"):
        await replay_requests_async(
            f"{found.bad[0].letters}@0000",
            shop.dsn,
            book_by_dsn,
            book_by_dsn,
            setup=shop.slot,
            invariant=lambda *_: True,
        )


def test_threads_have_it_too(shop: Shop) -> None:
    """Each function runs a loop of its own, in a thread."""

    def book(slot: int, dsn: str) -> bool:
        return asyncio.run(book_by_dsn(slot, dsn))

    found = interleave_requests(shop.dsn, book, book, setup=shop.slot, isolation="READ COMMITTED")
    assert found.complete, found
    assert {one.reason for one in found.bad} == {"in no serial order (A True, B False | A False, B True)"}


async def test_a_pool_for_all_and_mended_forms(
    shop: Shop, pool: asyncpg.Pool, proxy: InterleaveProxy
) -> None:
    bad = await interleave_requests_async(
        proxy, booker(pool), booker(pool), setup=shop.slot, max_schedules=4, isolation="READ COMMITTED"
    )
    assert bad.bad, bad

    for lock in ("SELECT id FROM slot WHERE id = $1 FOR UPDATE", "SELECT pg_advisory_xact_lock($1)"):
        mended = await interleave_requests_async(
            proxy, booker(pool, lock), booker(pool, lock), setup=shop.slot, max_preemptions=None
        )
        mended.assert_holds()
        assert mended.complete, mended
        assert mended.explored >= 2


async def test_the_environment_asks_for_one_schedule(
    shop: Shop, pool: asyncpg.Pool, proxy: InterleaveProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    actors = [booker(pool), booker(pool)]
    bad = (
        await interleave_requests_async(
            proxy, *actors, setup=shop.slot, invariant=shop.is_booked_once, isolation="READ COMMITTED"
        )
    ).bad[0]
    monkeypatch.setenv("PGWATCH_REPLAY", bad.id)
    again = await interleave_requests_async(proxy, *actors, setup=shop.slot, invariant=shop.is_booked_once)
    assert (again.explored, [one.id for one in again.bad]) == (1, [bad.id])


async def test_a_deadlock_is_a_result_at_once(shop: Shop, pool: asyncpg.Pool, proxy: InterleaveProxy) -> None:
    def mover(first: int) -> Callable[[tuple[int, int]], Awaitable[str]]:
        async def move(slots: tuple[int, int]) -> str:
            try:
                async with pool.acquire() as connection, connection.transaction():
                    for slot in (slots[first], slots[1 - first]):
                        await connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = $1", slot)
            except asyncpg.DeadlockDetectedError as error:
                return f"{error.sqlstate} {error.message}"
            return "moved"

        return move

    found = await interleave_requests_async(
        proxy,
        mover(0),
        mover(1),
        setup=shop.two_slots,
        invariant=lambda _, outcomes: all(one.value == "moved" for one in outcomes),
        max_preemptions=None,
    )
    assert found.complete, found
    assert found.deadlocks
    assert {one.id for one in found.deadlocks} == {one.id for one in found.bad}
    values = {outcome.value for one in found.bad for outcome in one.outcomes}
    assert values == {"moved", "40P01 deadlock detected"}
    assert "waits, then DeadlockDetected" in str(found)


async def test_prepared_statements_cursors_executemany_and_copy(shop: Shop, proxy: InterleaveProxy) -> None:
    async with AsyncExitStack() as closing:
        connections = [await asyncpg.connect(dsn) for dsn in proxy.dsns[:2]]
        for connection in connections:
            closing.push_async_callback(connection.close)
        prepared = [await one.prepare("SELECT count(*) FROM booking WHERE slot = $1") for one in connections]

        def writer(number: int) -> Book:
            connection = connections[number]

            async def write(slot: int) -> list[int]:
                seen = []
                async with connection.transaction():
                    seen.append(await prepared[number].fetchval(slot))
                    await connection.executemany(
                        "INSERT INTO booking (slot, who) VALUES ($1, $2)", [(slot, who) for who in "xyz"]
                    )
                    async for row in connection.cursor(
                        "SELECT id FROM booking WHERE slot = $1", slot, prefetch=2
                    ):
                        seen.append(1 if row else 0)
                await connection.copy_records_to_table(
                    "booking", records=[(slot, "c")], columns=["slot", "who"]
                )
                return seen

            return write

        found = await interleave_requests_async(
            proxy, writer(0), writer(1), setup=shop.slot, invariant=lambda *_: False, max_schedules=1
        )
        lines = found.bad[0].text().splitlines()
        shown = " ".join(lines)
        assert found.bad[0].letters.startswith("AAAAA")
        assert "'x') /* × 3 */" in shown
        assert "COPY " in shown
        assert lines[1].endswith("→ 0")
        slot = int(lines[1].split("slot = ")[1].split()[0])
        assert shop.count("booking", slot) == 8


async def test_a_level_is_forced_and_taken_back(
    shop: Shop, pool: asyncpg.Pool, proxy: InterleaveProxy
) -> None:
    seen: list[object] = []

    async def look(slot: int) -> None:
        async with pool.acquire() as connection:
            async with connection.transaction(isolation="read_committed"):
                seen.append(await connection.fetchval("SELECT current_setting('transaction_isolation')"))
            seen.append(await connection.fetchval("SELECT current_setting('transaction_isolation')"))

    found = await interleave_requests_async(
        proxy, look, look, setup=shop.slot, invariant=lambda *_: True, isolation="REPEATABLE READ"
    )
    found.assert_holds()
    assert set(seen) == {"repeatable read"}
    seen.clear()
    await look(0)
    assert seen == ["read committed", "read committed"]


async def test_snapshots_are_told_from_the_statement_that_begins(
    shop: Shop, pool: asyncpg.Pool, proxy: InterleaveProxy
) -> None:
    """Above READ COMMITTED a first SELECT elsewhere matters to what is written later."""

    async def look(slot: int) -> object:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("SELECT count(*) FROM note")
            return await connection.fetchval("SELECT count(*) FROM booking WHERE slot = $1", slot)

    async def book(slot: int) -> None:
        async with pool.acquire() as connection:
            await connection.execute("INSERT INTO booking (slot) VALUES ($1)", slot)

    seen = set()
    found = await interleave_requests_async(
        proxy, look, book, setup=shop.slot, invariant=lambda _, outcomes: seen.add(outcomes[0].value)
    )
    assert found.complete, found
    assert seen == {0, 1}


@pytest.mark.parametrize("question", ["SELECT 1", "SELECT set_config('shop.tenant', '7', true)"])
@pytest.mark.parametrize("is_prepared", [True, False])
async def test_a_question_that_takes_the_snapshot_is_a_step(
    shop: Shop, pool: asyncpg.Pool, proxy: InterleaveProxy, question: str, is_prepared: bool
) -> None:
    async def count(slot: int) -> None:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            await (connection.fetchval if is_prepared else connection.execute)(question)
            await connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = $1", slot)

    seen = set()
    found = await interleave_requests_async(
        proxy, count, count, setup=shop.slot, invariant=lambda _, each: seen.add(" ".join(map(str, each)))
    )

    assert found.complete, found
    # One after the other, neither fails.
    assert seen == {"None None", "None SerializationError 40001", "SerializationError 40001 None"}


async def test_faults_are_tried(shop: Shop, pool: asyncpg.Pool, proxy: InterleaveProxy) -> None:
    def counter(*retried: type[Exception]) -> Book:
        async def count(slot: int) -> str:
            for _ in range(3):
                try:
                    async with pool.acquire() as connection, connection.transaction():
                        await connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = $1", slot)
                except retried:
                    continue
                return "counted"
            return "gave up"

        return count

    def is_counted(slot: int, outcomes: Sequence[Outcome[object]]) -> bool:
        row = shop.administrator.execute("SELECT taken FROM slot WHERE id = %s", [slot]).fetchone()
        return row == (sum(one.value == "counted" for one in outcomes),) and all(
            one.is_ok for one in outcomes
        )

    lost = (
        asyncpg.SerializationError,
        asyncpg.DeadlockDetectedError,
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        OSError,
    )
    for retried, marks in (((), {"", "s", "d", "l", "c"}), (lost, {"", "c"})):
        found = await interleave_requests_async(
            proxy, counter(*retried), counter(*retried), setup=shop.slot, invariant=is_counted, faults=True
        )
        assert found.complete, found
        assert {step.fault for schedule in found.bad for step in schedule.steps} == marks, found
