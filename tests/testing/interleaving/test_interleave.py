"""`interleave` on a real server: bugs are found, mended forms are clean, schedules are replayed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.testing import interleave, replay, unique_id
from pgwatch_tests.testing.interleaving.controller import DivergedError
from pgwatch_tests.testing.interleaving.explorer import Isolation
from pgwatch_tests.testing.interleaving.monitor import Locks, Monitor
from tests.servers.sessions import Connect
from tests.testing.interleaving.conftest import Book, Shop, booker

numbers = itertools.count(1)


def test_a_double_booking_is_found_at_once_and_told(shop: Shop, bookers: list[Book]) -> None:
    found = interleave(*bookers[:2], setup=shop.slot, invariant=shop.is_booked_once)

    assert found.complete
    assert found.left == 0
    assert min(one.number for one in found.bad) <= 5
    assert found.bad[0].preemptions == 1
    with pytest.raises(AssertionError) as raised:
        found.assert_holds()
    lines = str(raised.value).splitlines()
    assert re.fullmatch(
        r"schedule [AB]{6}@[0-9a-f]{4} \(\dr?[a-z]+ of \d+; replay: --pgwatch-replay [AB]{6}@[0-9a-f]{4}\)",
        lines[0],
    )
    assert re.fullmatch(r"  [AB]  SELECT count\(\*\) FROM booking WHERE slot = \d+ +→ 0", lines[1])
    assert re.fullmatch(
        r"  [AB]  INSERT INTO booking \(slot, who\) VALUES \(\d+, '[ab]'\); COMMIT  1 row", lines[3]
    )
    assert lines[5] == "outcome: A True, B True: the invariant doesn't hold"


def test_without_an_invariant_serial_orders_say_what_is_right(shop: Shop, bookers: list[Book]) -> None:
    found = interleave(*bookers[:2], setup=shop.slot)

    assert {one.reason for one in found.bad} == {"in no serial order (A True, B False | A False, B True)"}
    # A call that fails by a serialization failure is no other bug.
    assert [one.partition(" (")[0] for one in found.prevention] == [
        "a UNIQUE constraint on booking(slot)",
        "SERIALIZABLE",
    ]


def test_rows_are_compared_with_those_of_serial_orders(shop: Shop, connect: Connect) -> None:
    """A lost update returns the same; only the row tells."""

    def counter(connection: Connection[TupleRow]) -> Callable[[int], None]:
        def count(slot: int) -> None:
            with connection.transaction():
                row = connection.execute("SELECT taken FROM slot WHERE id = %s", [slot]).fetchone()
                assert row is not None
                connection.execute("UPDATE slot SET taken = %s WHERE id = %s", [row[0] + 1, slot])

        return count

    found = interleave(counter(connect()), counter(connect()), setup=shop.slot)

    assert found.complete
    assert any("the rows that were written are those of no serial order" in one.reason for one in found.bad)
    assert '"taken": "1"' in found.bad[0].reason


def test_deleted_rows_are_compared_with_those_of_serial_orders(shop: Shop, connect: Connect) -> None:
    """Each takes as many notes as there are bookings, and books: one note goes, whoever is first."""

    def taker(connection: Connection[TupleRow], *, undoes: bool) -> Book:
        def take(slot: int) -> None:
            with connection.transaction():
                found = connection.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot]).fetchone()
                assert found is not None
                connection.execute("INSERT INTO booking (slot) VALUES (%s)", [slot])
                with connection.transaction(force_rollback=undoes):
                    connection.execute(
                        "DELETE FROM note WHERE id IN (SELECT id FROM note LIMIT %s) RETURNING id", found
                    )

        return take

    def make() -> int:
        shop.administrator.execute("INSERT INTO note (text) VALUES ('a'), ('b')")
        return shop.slot()

    found = interleave(*(taker(connect(), undoes=False) for _ in range(2)), setup=make, max_preemptions=1)
    assert {one.reason for one in found.bad} == {"in no serial order so many rows are deleted: none"}, found
    undone = interleave(*(taker(connect(), undoes=True) for _ in range(2)), setup=make, max_preemptions=1)
    undone.assert_holds()


def test_ids_that_differ_from_run_to_run_accuse_nobody(shop: Shop, connect: Connect) -> None:
    def inserter(connection: Connection[TupleRow]) -> Callable[[int], object]:
        def insert(slot: int) -> object:
            with connection.transaction():
                row = connection.execute(
                    "INSERT INTO booking (slot, who) VALUES (%s, 'x') RETURNING id, slot", [slot]
                ).fetchone()
            return {"row": row, "cursor": connection.cursor()}

        return insert

    for autocommit in (False, True):
        actors = [inserter(connect(autocommit=autocommit)) for _ in range(2)]
        found = interleave(*actors, setup=shop.slot)
        found.assert_holds()
        assert found.complete


def test_a_schedule_is_replayed_by_its_id(shop: Shop, bookers: list[Book]) -> None:
    bad = interleave(*bookers[:2], setup=shop.slot, invariant=shop.is_booked_once).bad[0]

    for schedule in (bad.id, bad):
        again = replay(schedule, *bookers[:2], setup=shop.slot, invariant=shop.is_booked_once)
        assert [one.id for one in again.bad] == [bad.id]
        without = replay(schedule, *bookers[:2], setup=shop.slot)
        assert without.explored == 1
        assert [one.reason for one in without.bad] == [
            "in no serial order (A True, B False | A False, B True)"
        ]


def test_locks_are_asked_for_only_where_they_tell_something(
    shop: Shop, bookers: list[Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    locks = Monitor.locks

    def counted(monitor: Monitor, pid: int) -> Locks:
        asked.append(pid)
        return locks(monitor, pid)

    monkeypatch.setattr(Monitor, "locks", counted)
    bad = interleave(*bookers[:2], setup=shop.slot, invariant=shop.is_booked_once, max_schedules=4).bad[0]
    assert asked

    asked.clear()
    replay(bad.id, *bookers[:2], setup=shop.slot, invariant=shop.is_booked_once)
    unused: tuple[tuple[Isolation | None, bool], ...] = (("SERIALIZABLE", True), (None, False))
    for isolation, reduction in unused:
        interleave(
            *bookers[:2],
            setup=shop.slot,
            invariant=lambda *_: True,
            max_schedules=3,
            isolation=isolation,
            reduction=reduction,
        )
    assert asked == []


def test_the_environment_asks_for_one_schedule(
    shop: Shop, bookers: list[Book], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = interleave(*bookers[:2], setup=shop.slot, invariant=shop.is_booked_once).bad[0]
    monkeypatch.setenv("PGWATCH_REPLAY", bad.id)

    again = interleave(*bookers[:2], setup=shop.slot, invariant=shop.is_booked_once)
    assert (again.explored, [one.id for one in again.bad]) == (1, [bad.id])


@pytest.mark.parametrize(
    "body",
    ["AS 'SELECT pg_try_advisory_xact_lock($1)'", "BEGIN ATOMIC SELECT pg_try_advisory_xact_lock($1); END"],
)
def test_functions_with_hidden_effects_forbid_the_reduction(shop: Shop, connect: Connect, body: str) -> None:
    if "ATOMIC" in body and shop.administrator.info.server_version < 140000:
        pytest.skip("bodies of the SQL standard came with PostgreSQL 14")
    shop.administrator.execute(f"CREATE FUNCTION locked(bigint) RETURNS bool LANGUAGE sql {body}".encode())

    def noter(connection: Connection[TupleRow], statement: str) -> Book:
        def note(slot: int) -> object:
            with connection.transaction():
                return connection.execute(statement.encode(), [slot]).fetchone()

        return note

    for statement, seen in (("SELECT locked(%s)", 2), ("SELECT pg_try_advisory_xact_lock(%s)", 2)):
        found = interleave(
            noter(connect(), statement), noter(connect(), statement), setup=shop.slot, max_preemptions=None
        )
        assert found.complete
        assert len({one.outcomes for one in found.bad}) == seen
        assert "no schedule was left out for another one" in str(found)


def test_a_replay_tells_where_the_code_has_changed(
    shop: Shop, bookers: list[Book], connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    bad = interleave(*bookers[:2], setup=shop.slot, invariant=shop.is_booked_once).bad[0]
    connection = connect()

    def books_otherwise(slot: int) -> None:
        with connection.transaction():
            connection.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot])
            connection.execute("INSERT INTO booking (slot) VALUES (%s)", [slot])

    def books_more(slot: int) -> None:
        books_otherwise(slot)
        books_otherwise(slot)

    at = bad.letters.rindex("B", 0, bad.letters.index("B") + 2) + 1
    expected = f"diverged at step {at}: expected 'INSERT INTO booking (slot, who) VALUES (?)'"  # noqa: S608
    with pytest.raises(DivergedError, match=re.escape(expected)):
        replay(bad, bookers[0], books_otherwise, setup=shop.slot)
    with pytest.raises(DivergedError, match="but with other statements: expected the hash"):
        replay(bad.id, bookers[0], books_otherwise, setup=shop.slot)
    other = shop.slot()
    with pytest.raises(DivergedError, match="diverged at step 7: expected the end, got B before 'SELECT"):
        replay(
            "AAABBB@0000", lambda _: bookers[0](other), books_more, setup=shop.slot, invariant=lambda *_: True
        )
    with pytest.raises(ValueError, match="isn't the id of a schedule"):
        replay("BAB", *bookers[:2], setup=shop.slot)
    assert caplog.messages == []


def unique(connection: Connection[TupleRow], who: str) -> Book:
    def book(slot: int) -> bool:
        try:
            with connection.transaction():
                connection.execute("INSERT INTO unique_booking (slot, who) VALUES (%s, %s)", [slot, who])
        except psycopg.errors.UniqueViolation:
            return False
        return True

    return book


def for_update(connection: Connection[TupleRow], who: str) -> Book:
    def book(slot: int) -> bool:
        with connection.transaction():
            connection.execute("SELECT FROM slot WHERE id = %s FOR UPDATE", [slot])
            found = connection.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot]).fetchone()
            if found != (0,):
                return False
            connection.execute("INSERT INTO booking (slot, who) VALUES (%s, %s)", [slot, who])
        return True

    return book


def advisory(connection: Connection[TupleRow], who: str) -> Book:
    def book(slot: int) -> bool:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [slot])
            found = connection.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot]).fetchone()
            if found != (0,):
                return False
            connection.execute("INSERT INTO booking (slot, who) VALUES (%s, %s)", [slot, who])
        return True

    return book


@pytest.mark.parametrize("made", [lambda: unique_id("test"), lambda: f"t_{next(numbers)}"])
def test_tables_of_one_run_are_those_of_the_same_schedule(
    shop: Shop, connect: Connect, made: Callable[[], str]
) -> None:
    def fresh_table() -> str:
        name = made()
        shop.administrator.execute(f"CREATE TABLE {name} AS SELECT 0 AS taken".encode())
        return name

    def count(connection: Connection[TupleRow], lock: str = "") -> Callable[[str], int]:
        def count_up(table: str) -> int:
            with connection.transaction():
                row = connection.execute(f"SELECT taken FROM {table}{lock}".encode()).fetchone()  # noqa: S608
                assert row is not None
                connection.execute(f"UPDATE {table} SET taken = %s".encode(), [row[0] + 1])  # noqa: S608
            return int(row[0])

        return count_up

    actors = count(connect()), count(connect())
    found = interleave(*actors, setup=fresh_table)
    assert found.complete, found

    again = replay(found.bad[0], *actors, setup=fresh_table)
    assert [one.id for one in again.bad] == [found.bad[0].id]

    mended = interleave(*(count(connect(), " FOR UPDATE") for _ in range(2)), setup=fresh_table)
    mended.assert_holds()


@pytest.mark.parametrize("mended", [unique, for_update, advisory])
def test_a_mended_form_is_complete_and_clean(
    shop: Shop, connect: Connect, mended: Callable[[Connection[TupleRow], str], Book]
) -> None:
    found = interleave(mended(connect(), "a"), mended(connect(), "b"), setup=shop.slot, max_preemptions=None)

    found.assert_holds()
    assert found.complete
    assert found.why == "all orders that matter"
    assert found.explored >= 2


def test_serializable_prevents_it_and_is_taken_back(shop: Shop, connect: Connect) -> None:
    connections = [connect(), connect()]
    connections[1].isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    own = [booker(connection, "a") for connection in connections]
    found = interleave(*own, setup=shop.slot, invariant=shop.is_booked_once, isolation="SERIALIZABLE")

    found.assert_holds()
    assert found.complete
    assert [one.isolation_level for one in connections] == [None, psycopg.IsolationLevel.READ_COMMITTED]
    assert interleave(*own, setup=shop.slot, invariant=shop.is_booked_once).bad


def test_the_reduction_finds_the_same_outcomes(shop: Shop, bookers: list[Book], connect: Connect) -> None:
    connection = connect()

    def note(_: int) -> None:
        with connection.transaction():
            connection.execute("INSERT INTO note (text) VALUES ('x')")

    seen: dict[bool, set[tuple[str, ...]]] = {True: set(), False: set()}
    explored = {}
    for reduction, outcomes_seen in seen.items():
        found = interleave(
            *bookers[:2],
            note,
            setup=shop.slot,
            invariant=lambda _, outcomes: outcomes_seen.add(tuple(one.signature for one in outcomes)),  # noqa: B023
            max_preemptions=1,
            max_seconds=60,
            reduction=reduction,
        )
        assert found.complete, found
        explored[reduction] = found.explored
    assert seen[True] == seen[False]
    assert explored[True] * 5 <= explored[False]


def mover(connection: Connection[TupleRow], first: int) -> Callable[[tuple[int, int]], str]:
    def move(slots: tuple[int, int]) -> str:
        try:
            with connection.transaction():
                for slot in (slots[first], slots[1 - first]):
                    connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = %s", [slot])
        except psycopg.errors.DeadlockDetected as error:
            return f"{error.sqlstate} {error.diag.sqlstate}"
        return "moved"

    return move


def test_a_deadlock_is_a_result_at_once(shop: Shop, connect: Connect) -> None:
    found = interleave(
        mover(connect(), 0),
        mover(connect(), 1),
        setup=shop.two_slots,
        invariant=lambda _, outcomes: all(one.value == "moved" for one in outcomes),
        max_preemptions=None,
    )

    assert found.complete
    assert {one.id for one in found.deadlocks} == {one.id for one in found.bad}
    assert {outcome.value for one in found.bad for outcome in one.outcomes} == {"moved", "40P01 40P01"}
    assert "deadlock: A with B; A, which had waited longest, was ended" in str(
        found
    ) or "deadlock: B with A" in str(found)
    assert found.seconds < found.explored * 0.9


def test_three_actors_and_a_queue(shop: Shop, connect: Connect) -> None:
    """Two wait for the first one's key, and go on one after the other."""
    found = interleave(*(unique(connect(), who) for who in "abc"), setup=shop.slot, max_seconds=60)

    found.assert_holds()
    assert found.complete
