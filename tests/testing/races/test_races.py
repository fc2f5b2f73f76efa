"""`race` and `load` on a real server: double bookings, registrations, and what is told of them."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgwatch_tests.testing import interleave, load, load_async, race, race_async
from pgwatch_tests.testing.races.latencies import histogram, percentile
from tests.servers.sessions import Database

Pool = ConnectionPool[Connection[TupleRow]]


@pytest.fixture
def pool(database: Database) -> Iterator[Pool]:
    """Ten warm connections; no two bookings may overlap, no two accounts have the same address."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE booking (slot int, during int4range, EXCLUDE USING gist (during WITH &&));"
            "CREATE TABLE account (email text PRIMARY KEY)"
        )
    with ConnectionPool(database.dsn, min_size=10, max_size=10, open=True) as opened:
        opened.wait()
        yield opened


def test_of_overlapping_bookings_exactly_one_succeeds(pool: Pool) -> None:
    def book(number: int) -> int:
        with pool.connection() as connection:
            connection.execute("INSERT INTO booking VALUES (1, int4range(%s, 20))", [number])
        return number

    outcomes = race(10, book, args=[[number] for number in range(10)])

    assert outcomes.exactly_one() in range(10)
    assert outcomes.at_most(1) == outcomes.values
    assert len(outcomes.errors) == 9
    # Two rows that are there before either is checked wait for each other, and the server ends one of them
    # (check_exclusion_or_unique_constraint).
    losses = Counter(f"{type(one).__name__} {getattr(one, 'sqlstate', None)}" for one in outcomes.errors)
    assert losses.keys() <= {"ExclusionViolation 23P01", "DeadlockDetected 40P01"}
    assert sorted(outcomes.order) == list(range(10))
    assert all(one.duration_s > 0 for one in outcomes.each)
    told = str(outcomes)
    assert all(f"{count} × {loss}" in told for loss, count in losses.items())


def test_more_successes_than_allowed_tell_all_outcomes() -> None:
    outcomes = race(3, lambda: "yes")

    with pytest.raises(
        AssertionError, match=r"exactly one call should have succeeded, but 3 of 3 did\n  3 × 'yes'"
    ):
        outcomes.exactly_one()
    with pytest.raises(AssertionError, match="at most 2 of the calls should have succeeded, but 3 of 3 did"):
        outcomes.at_most(2)


def test_overlap_tells_how_many_really_ran_at_once() -> None:
    turn = threading.Lock()

    def alone() -> None:
        with turn:
            time.sleep(0.001)

    at_once = threading.Barrier(4)
    assert race(4, at_once.wait, args=[[10]] * 4).overlap == 4
    outcomes = race(1, alone)
    assert outcomes.overlap == 1


def test_a_call_that_doesn_t_end_is_an_error_in_time() -> None:
    ends = threading.Event()
    outcomes = race(2, ends.wait, timeout=0.2)
    ends.set()

    assert [str(error) for error in outcomes.errors] == ["not ended within 0.2 s"] * 2


def test_arguments_are_one_list_a_call() -> None:
    with pytest.raises(ValueError, match="2 calls need 2 lists of arguments, not 1"):
        race(2, print, args=[[1]])
    with pytest.raises(ValueError, match="at least 1 call"):
        race(0, print)


async def test_a_race_of_tasks(database: Database) -> None:
    async with AsyncConnectionPool(database.dsn, min_size=5, open=False) as pool:
        await pool.wait()
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE account (email text PRIMARY KEY)")

        async def register() -> bool:
            async with pool.connection() as connection:
                await connection.execute("INSERT INTO account VALUES ('one@test.example.com')")
            return True

        outcomes = await race_async(5, register)
        assert outcomes.exactly_one() is True
        assert {type(error) for error in outcomes.errors} == {psycopg.errors.UniqueViolation}
        assert outcomes.overlap == 5

        late = await race_async(2, lambda: asyncio.sleep(30), timeout=0.05)
        assert len(late.errors) == 2


def test_a_hundred_registrations_at_once(pool: Pool) -> None:
    def register(number: int) -> None:
        with pool.connection() as connection:
            connection.execute("INSERT INTO account VALUES (%s)", [f"user-{number % 90}@test.example.com"])

    result = load(100, register, concurrency=10)

    assert (result.successes, result.calls) == (90, 100)
    assert result.failures == (("UniqueViolation 23505", 10),)
    assert 0 < result.percentile(0.5) <= result.percentile(0.95) <= result.percentile(1) <= result.elapsed_s
    assert result.throughput > 0
    told = str(result)
    assert "100 calls by 10 callers" in told
    assert "90 succeeded" in told
    assert "10 × UniqueViolation 23505" in told
    assert "latency: p50 " in told
    with pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (90,)


def test_progress_is_told_from_the_first_second_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgwatch_tests.testing.races.load._FIRST_LINE_S", 0.0)
    lines = io.StringIO()
    load(3, lambda _: None, concurrency=1, progress=lines)
    assert lines.getvalue() == "load: 1 of 3 calls, 0 failed\n"


async def test_a_load_of_tasks() -> None:
    seen = []

    async def call(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)
        if number == 3:
            raise ValueError(number)

    result = await load_async(20, call, concurrency=4)
    assert sorted(seen) == list(range(20))
    assert result.failures == (("ValueError", 1),)
    assert result.concurrency == 4


def test_what_ends_the_process_ends_the_load() -> None:
    def leave(number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(5, leave, concurrency=2)
    with pytest.raises(ValueError, match="at least 1 call and 1 caller"):
        load(5, leave, concurrency=0)


def test_a_load_that_doesn_t_end_is_told_in_time() -> None:
    ends = threading.Event()
    result = load(10, lambda number: number < 3 or ends.wait(), concurrency=2, timeout=0.2)
    ends.set()

    assert (result.successes, result.not_begun, result.calls) == (3, 5, 5)
    assert result.failures == (("TimeoutError: not ended within 0.2 s", 2),)
    assert "5 calls not begun: no caller was left" in str(result)


async def test_a_load_of_tasks_that_don_t_end_is_told_in_time() -> None:
    async def call(number: int) -> None:
        await asyncio.sleep(30 if number == 1 else 0)

    result = await load_async(10, call, concurrency=2, timeout=0.05)

    assert (result.successes, result.not_begun) == (9, 0)
    assert result.failures == (("TimeoutError: not ended within 0.05 s", 1),)


def test_percentiles_and_histogram() -> None:
    durations = [0.001] * 90 + [0.1] * 10
    assert percentile(durations, 0.5) == 0.001
    assert percentile(durations, 0.9) == 0.001
    assert percentile(durations, 0.91) == 0.1
    lines = histogram(durations, 4).splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("90  " + "#" * 40)
    assert lines[-1].startswith("  up to   100 ms      10  #####")
    assert histogram([0.5]).startswith("  up to   500 ms       1  #")
    assert histogram([]) == ""
    with pytest.raises(ValueError, match="no call"):
        percentile([], 0.5)


def test_coroutine_functions_and_iterators_of_arguments() -> None:
    async def call(*_: object) -> None:
        raise AssertionError("never run")

    for start in (lambda: race(2, call), lambda: load(2, call), lambda: interleave(call, call)):
        with pytest.raises(TypeError, match="_async for a coroutine function"):
            start()
    assert race(2, abs, args=((-number,) for number in (1, 2))).values == [1, 2]
    with pytest.raises(ValueError, match="2 calls need 2 lists of arguments, not more"):
        race(2, abs, args=([number] for number in range(9)))
