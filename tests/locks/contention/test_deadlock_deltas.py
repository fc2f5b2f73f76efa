"""The server's counters: only growth counts, and what isn't known isn't 0."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pgwatch_tests.locks.contention.contention import ContentionMeter
from pgwatch_tests.locks.contention.deadlock_deltas import DeadlockDeltas
from pgwatch_tests.locks.model import DeadlockCount, DeadlockCounts
from tests.locks.snapshots import MOMENT, snapshot


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
