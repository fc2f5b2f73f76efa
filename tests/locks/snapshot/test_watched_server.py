"""A watch of a real server: blocked time, deadlocks, and the server's own count of these."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors

from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter, Pair
from pgwatch_tests.locks.contention.wait_record import LockedObject
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.sessions import Connect, Database, blocked

_AT_MOST_S = 20.0


def watch_until(
    dsn: str, is_enough: Callable[[Contention], bool], *, first: Callable[[], None]
) -> Contention:
    """Polls until `is_enough`; `first` is called once the watch has begun."""

    async def scenario() -> Contention:
        meter = ContentionMeter()
        until_s = time.monotonic() + _AT_MOST_S
        async with LiveSource(Settings(dsn=Dsn(dsn, "the test"))) as locks:
            meter.add(await locks.read_with_counts())
            await asyncio.to_thread(first)
            while True:
                meter.add(await locks.read_with_counts())
                seen = meter.result()
                assert seen is not None
                if is_enough(seen):
                    return seen
                assert time.monotonic() < until_s, seen
                await asyncio.sleep(0.05)

    return asyncio.run(scenario())


def test_the_time_that_sessions_were_blocked(database: Database, connect: Connect) -> None:
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect("pytest:gw1 t.py::test_waiter")
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("CREATE TABLE accounts (id int PRIMARY KEY)")
        owner.execute("INSERT INTO accounts VALUES (1)")
    holder.execute("DELETE FROM accounts")
    began_s = 0.0

    def begin() -> None:
        nonlocal began_s
        began_s = time.monotonic()
        blocked(waiter, "DELETE FROM accounts")

    pair = Pair("t.py::test_holder", "t.py::test_waiter")
    # Other tests use the same server: only what is ours counts.
    seen = watch_until(
        database.dsn,
        lambda seen: dict(seen.pairs.rows).get(pair) is not None and seen.watched_s > 1,
        first=begin,
    )
    was_blocked_s = time.monotonic() - began_s
    tally = dict(seen.pairs.rows)[pair]
    # A tenth of a second is what may pass until a new wait is believed.
    assert tally.blocked_s == pytest.approx(was_blocked_s, abs=0.5)
    assert tally.blocked_s <= was_blocked_s
    assert tally.waits == 1
    assert LockedObject("accounts", "SHARE") in dict(seen.objects.rows)
    assert seen.blocked_s == pytest.approx(seen.pairs.blocked_s)
    assert "idle_in_transaction" in dict(seen.causes.rows)


def test_a_deadlock_is_caught_and_counted(database: Database, connect: Connect) -> None:
    one, other = connect("pytest:gw0 t.py::test_one"), connect("pytest:gw1 t.py::test_other")
    for key, connection in ((1, one), (2, other)):
        connection.execute("SET deadlock_timeout = '1s'")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [key])
    running = []

    def deadlock() -> None:
        running.append(blocked(one, "SELECT pg_advisory_xact_lock(2)"))
        running.append(blocked(other, "SELECT pg_advisory_xact_lock(1)"))

    def is_caught(seen: Contention) -> bool:
        if not any("test_one" in str(found) for found in seen.deadlocks):
            return False
        # The server counts for good once the victim's session has ended.
        for statement, connection in zip(running, (one, other), strict=True):
            if not statement.thread.is_alive() and not connection.closed:
                connection.close()
        counted = seen.deadlocks_counted
        return counted is not None and dict(counted.by_database).get(database.name) == 1

    seen = watch_until(database.dsn, is_caught, first=deadlock)
    assert len([found for found in seen.deadlocks if "test_one" in str(found)]) == 1
    assert sum(isinstance(error_of(statement.result), errors.DeadlockDetected) for statement in running) == 1
    assert Pair("t.py::test_one", "t.py::test_other") in dict(seen.pairs.rows)


def error_of(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except psycopg.Error as error:
        return error
    return None


def test_a_server_that_does_not_count_is_not_counted(database: Database, connect: Connect) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        # Not for the whole server, which other tests use: for whoever connects to this database.
        owner.execute(f"ALTER DATABASE {database.name} SET track_counts = off".encode())
    seen = watch_until(database.dsn, lambda seen: seen.polls > 3, first=lambda: None)
    assert seen.deadlocks_counted is None


def test_statistics_that_are_reset_are_no_jump(database: Database, connect: Connect) -> None:
    owner = connect(autocommit=True)
    owner.execute("CREATE TABLE t ()")

    def reset() -> None:
        owner.execute("SELECT pg_stat_reset()")

    seen = watch_until(database.dsn, lambda seen: seen.polls > 3, first=reset)
    assert seen.deadlocks_counted is not None
    assert database.name not in dict(seen.deadlocks_counted.by_database)
