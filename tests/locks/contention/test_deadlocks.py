"""Deadlocks of a watch: the victim where later polls prove it, and what the server's counters grew by."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.contention.deadlocks import DeadlockDeltas
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import DeadlockCount, DeadlockCounts, LockSnapshot, Session
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.snapshots import MOMENT, edge, session, snapshot
from tests.servers.sessions import Connect, Database, blocked

ABORTED = "idle in transaction (aborted)"


def aged(one: Session, at_s: float) -> Session:
    """The session at that time, with nothing begun anew since the cycle was seen first."""
    assert one.xact_age_s is not None
    assert one.query_age_s is not None
    return replace(one, xact_age_s=one.xact_age_s + at_s, query_age_s=one.query_age_s + at_s)


def outcome(*afterwards: Session, size: int = 2, still: tuple[int, ...] = ()) -> str:
    """The victim of a deadlock of sessions 1 to `size`, if these are the sessions afterwards."""
    meter = ContentionMeter()
    cycle = tuple(edge(number, number % size + 1) for number in range(1, size + 1))
    members = tuple(session(number) for number in range(1, size + 1))
    previous: LockSnapshot | None = None
    for at_s in (0.0, 0.25):
        previous = settle(previous, snapshot(cycle, tuple(aged(one, at_s) for one in members), at_s))
        meter.add(previous)
    rest = tuple(one for one in cycle if one.waiter.pid in still)
    meter.add(settle(previous, snapshot(rest, afterwards, 0.5)))
    seen = meter.result()
    assert seen is not None
    [caught] = seen.deadlocks
    return caught.victim


def later(pid: int, state: str, **other: object) -> Session:
    return replace(aged(session(pid, state=state), 0.5), **other)  # type: ignore[arg-type]


DONE = later(2, "idle in transaction")
NEW = {"state": "idle", "xact_age_s": None}


@pytest.mark.parametrize(
    ("afterwards", "victim"),
    [
        ((later(1, ABORTED), DONE), "test_1 (gw1, pid 1)"),
        ((later(1, ABORTED), later(2, "idle", xact_age_s=None)), "test_1 (gw1, pid 1)"),
        ((later(1, "idle", xact_age_s=None), DONE), "test_1 (gw1, pid 1)"),
        ((DONE,), "test_1 (gw1, pid 1)"),
        ((later(1, "active", xact_age_s=0.1), DONE), "test_1 (gw1, pid 1)"),
        # Both are over: who committed, and who was ended, isn't told.
        ((later(1, "idle", xact_age_s=None), later(2, "idle", xact_age_s=None)), ""),
        ((), ""),
        # Who goes on with something else may have gone back to a savepoint.
        ((later(1, "idle", xact_age_s=None), later(2, "active", query="SELECT 1", query_age_s=0.1)), ""),
        # A statement that runs may be at giving up.
        ((later(1, "active"), later(2, "active")), ""),
        ((later(1, "idle", xact_age_s=None), later(2, "active")), ""),
        # It failed with another statement.
        ((later(1, ABORTED, query="SELECT 1/0", query_age_s=0.1), later(2, "idle", xact_age_s=None)), ""),
        ((later(1, ABORTED), later(2, ABORTED)), ""),
        ((later(1, "", hidden=True), DONE), ""),
    ],
)
def test_what_is_told_of_two(afterwards: tuple[Session, ...], victim: str) -> None:
    assert outcome(*afterwards) == victim


def test_the_rest_of_a_longer_cycle_may_wait_on() -> None:
    waiting = later(3, "active")
    assert outcome(DONE, waiting, size=3, still=(3,)) == "test_1 (gw1, pid 1)"
    assert outcome(waiting, size=3, still=(3,)) == "", "two are over"


@pytest.mark.parametrize("ends", ["stays", "leaves"])
def test_the_servers_own_victim(ends: str, connect: Connect, database: Database) -> None:
    one, other = connect("pytest:gw0 t.py::test_one"), connect("pytest:gw1 t.py::test_other")
    one.execute("CREATE TABLE t AS SELECT id FROM generate_series(1, 2) AS id")
    one.commit()
    # Only one of them ever looks for a deadlock.
    one.execute("SET deadlock_timeout = '1s'")
    other.execute("SET deadlock_timeout = '1h'")
    one.execute("UPDATE t SET id = id WHERE id = 1")
    other.execute("UPDATE t SET id = id WHERE id = 2")
    second = blocked(other, "UPDATE t SET id = id WHERE id = 1 /* second */")

    async def watch() -> Contention:
        seen = ContentionMeter()
        async with LiveSource(Settings(dsn=Dsn(database.dsn, "the test"))) as locks:
            seen.add(await locks.read())
            first = blocked(one, "UPDATE t SET id = id WHERE id = 2 /* first */")
            while first.thread.is_alive() or (found := seen.result()) is None or not found.deadlocks:
                seen.add(await locks.read())
                await asyncio.sleep(0.1)
            with pytest.raises(psycopg.errors.DeadlockDetected):
                first.result()
            second.result()
            if ends == "leaves":
                one.rollback()
            for _ in range(2):
                seen.add(await locks.read())
        last = seen.result()
        assert last is not None
        return last

    seen = asyncio.run(watch())
    [caught] = [one for one in seen.deadlocks if "test_one" in one.sessions[0].who + one.sessions[1].who]
    assert caught.victim.startswith("test_one (gw0, pid ")
    assert sorted(member.side.statement[-9:-3] for member in caught.sessions) == [" first", "second"]
    assert {member.side.database for member in caught.sessions} == {database.name}
    assert {member.target for member in caught.sessions} != {""}
    assert caught.advice


def reading(after_s: float, *databases: tuple[int, int], reset_s: float | None = None) -> DeadlockCounts:
    reset_at = None if reset_s is None else MOMENT + timedelta(seconds=reset_s)
    return DeadlockCounts(
        MOMENT + timedelta(seconds=after_s),
        tuple(DeadlockCount(oid, f"db{oid}", deadlocks, reset_at) for oid, deadlocks in databases),
    )


def total(*readings: DeadlockCounts | None) -> int | None:
    deltas = DeadlockDeltas()
    for one in readings:
        deltas.add(one)
    result = deltas.result()
    return None if result is None else result.total


def test_growth_by_database() -> None:
    deltas = DeadlockDeltas()
    for one in (reading(0, (1, 7), (2, 0)), reading(5, (1, 9), (2, 0)), reading(10, (1, 10), (2, 1))):
        deltas.add(one)
        deltas.add(one)
    result = deltas.result()
    assert result is not None
    assert (result.total, result.by_database) == (4, (("db1", 3), ("db2", 1)))
    assert result.read_at == MOMENT + timedelta(seconds=10)


def test_one_reading_is_no_count() -> None:
    assert total(reading(0, (1, 7))) is None
    assert total() is None
    assert total(reading(0, (1, 7)), reading(5, (1, 7))) == 0


def test_a_failure_is_unknown_and_loses_nothing() -> None:
    before, after = reading(0, (1, 7)), reading(9, (1, 8))
    assert total(before, after, None) is None
    assert total(before, None, after) == 1


def test_a_database_that_appears_later_is_no_jump() -> None:
    assert total(reading(0, (1, 7)), reading(5, (1, 7), (2, 500)), reading(9, (1, 7), (2, 501))) == 1


def test_a_reset_is_neither_a_jump_nor_negative() -> None:
    assert total(reading(0, (1, 7)), reading(5, (1, 2))) == 0
    assert total(reading(0, (1, 7), reset_s=-9), reading(5, (1, 9), reset_s=3)) == 0
    assert total(reading(0, (1, 7)), reading(5, (1, 0), reset_s=3), reading(9, (1, 2), reset_s=3)) == 2


def test_the_watch_takes_them_from_its_snapshots() -> None:
    meter = ContentionMeter()
    for at_s, counts in (
        (0, None),
        (1, reading(1, (1, 3))),
        (2, reading(1, (1, 3))),
        (6, reading(6, (1, 4))),
    ):
        meter.add(replace(snapshot(after_s=at_s), deadlock_counts=counts))
    seen = meter.result()
    assert seen is not None
    assert seen.deadlocks_counted is not None
    assert seen.deadlocks_counted.total == 1
