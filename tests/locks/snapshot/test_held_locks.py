"""All locks of one session, in words."""

from __future__ import annotations

import asyncio

from pgwatch_tests.locks.model import HeldLock, Party
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.scenarios import prepared, rows
from tests.locks.scenarios.cast import Cast


def held(dsn: str, party: Party) -> tuple[HeldLock, ...] | None:
    async def named(source: LiveSource) -> tuple[HeldLock, ...] | None:
        while True:
            found = await source.held_locks(party)
            # A busy machine takes too long for a name, which is asked for again two seconds later.
            if not any("relation " in lock.target for lock in found or ()):
                return found
            await asyncio.sleep(0.05)

    async def read() -> tuple[HeldLock, ...] | None:
        async with LiveSource(Settings(dsn=Dsn(dsn, "the test"))) as source:
            await source.read()
            return await asyncio.wait_for(named(source), 20)

    return asyncio.run(read())


def test_a_session_that_holds_and_waits(cast: Cast) -> None:
    rows.fan_of_three_on_a_row.play(cast)
    first = held(cast.dsn, next(party for party in map(cast.party, sorted(cast.parts)) if waits(cast, party)))
    assert first is not None
    assert HeldLock("table accounts", "ROW EXCLUSIVE", True) in first
    assert [lock.granted for lock in first] == sorted(lock.granted for lock in first)
    assert not first[0].granted


def waits(cast: Cast, party: Party) -> bool:
    query = "SELECT 1 FROM pg_lock_status() AS lock WHERE pid = %s AND NOT granted"
    return cast.observer.execute(query, [party.pid]).fetchone() is not None


def test_a_prepared_transaction(cast: Cast) -> None:
    prepared.prepared_transaction_in_another_database.play(cast)
    found = held(cast.dsn, cast.party("prepared"))
    assert found is not None
    assert any(lock.mode == "ROW EXCLUSIVE" for lock in found)


def test_a_session_that_is_gone(cast: Cast) -> None:
    assert held(cast.dsn, Party(2**31 - 1)) == ()
