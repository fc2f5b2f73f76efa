"""Faults: what retries is clean, what doesn't is found, and what retries what was committed is found, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from pgwatch_tests.testing import Outcome, interleave, replay
from tests.testing.interleaving.conftest import Shop

Pool = ConnectionPool[Connection[TupleRow]]
Book = Callable[[int], str]


@pytest.fixture
def pool(shop: Shop) -> Iterator[Pool]:
    with ConnectionPool(shop.dsn, min_size=2, max_size=4, open=True) as opened:
        opened.wait()
        yield opened


def booker(pool: Pool, *retried: type[psycopg.Error]) -> Book:
    """Counts a slot up, up to three times, until no error of these classes comes."""

    def count(slot: int) -> str:
        for _ in range(3):
            try:
                with pool.connection() as connection:
                    connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = %s", [slot])
            except retried:
                continue
            return "counted"
        return "gave up"

    return count


def test_each_fault_is_tried_and_retries_are_judged(shop: Shop, pool: Pool) -> None:
    def is_counted(slot: int, outcomes: Sequence[Outcome[object]]) -> bool:
        row = shop.administrator.execute("SELECT taken FROM slot WHERE id = %s", [slot]).fetchone()
        return row == (sum(one.value == "counted" for one in outcomes),) and all(
            one.is_ok for one in outcomes
        )

    none = interleave(booker(pool), booker(pool), setup=shop.slot, invariant=is_counted, faults=True)
    assert none.complete, none
    assert none.why == "all orders that matter, and each fault in all serial orders"
    marks = {step.fault for schedule in none.bad for step in schedule.steps}
    assert marks == {"", "s", "d", "l", "c"}
    assert "fault: " in str(none)

    rollbacks = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
    right = interleave(
        *(booker(pool, *rollbacks) for _ in range(2)), setup=shop.slot, invariant=is_counted, faults=True
    )
    assert {step.fault for schedule in right.bad for step in schedule.steps} == {"", "l", "c"}

    too_much = interleave(
        *(booker(pool, psycopg.OperationalError) for _ in range(2)),
        setup=shop.slot,
        invariant=is_counted,
        faults=True,
    )
    assert {step.fault for schedule in too_much.bad for step in schedule.steps} == {"", "c"}

    bad = too_much.bad[0]
    assert "c" in bad.letters
    again = replay(
        bad.id,
        *(booker(pool, psycopg.OperationalError) for _ in range(2)),
        setup=shop.slot,
        invariant=is_counted,
    )
    assert [one.id for one in again.bad] == [bad.id]


def test_a_transaction_has_failed_until_it_is_rolled_back(shop: Shop, pool: Pool) -> None:
    """As after the server's own error: whoever goes on without a rollback meets 25P02."""
    seen: set[str | None] = set()

    def stubborn(slot: int) -> None:
        with pool.connection() as connection:
            try:
                connection.execute("UPDATE slot SET taken = 1 WHERE id = %s", [slot])
            except psycopg.Error as error:
                seen.add(error.diag.sqlstate)
                with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                    connection.execute("SELECT taken FROM slot")
                connection.rollback()

    interleave(stubborn, lambda _: None, setup=shop.slot, invariant=lambda *_: True, faults=True)
    assert seen == {"40001", "40P01"}


def test_faults_need_an_invariant(shop: Shop, pool: Pool) -> None:
    with pytest.raises(ValueError, match="faults need an invariant"):
        interleave(booker(pool), booker(pool), setup=shop.slot, faults=True)
