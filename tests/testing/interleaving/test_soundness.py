"""On a real server, too, the reduced search finds the outcomes that all schedules have."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.testing import Outcome, interleave
from pgwatch_tests.testing.interleaving.explorer import Isolation
from tests.servers.sessions import Connect
from tests.testing.interleaving.conftest import Shop

STATEMENTS = (
    "SELECT taken FROM slot WHERE id = %(slot)s",
    "UPDATE slot SET taken = taken + %(step)s WHERE id = %(slot)s RETURNING taken",
    "SELECT taken FROM slot WHERE id = %(slot)s FOR UPDATE",
    "SELECT count(*) FROM booking WHERE slot = %(slot)s",
    "INSERT INTO booking (slot, who) SELECT %(slot)s, count(*)::text FROM booking WHERE slot = %(slot)s"
    " RETURNING who",
    "UPDATE booking SET who = who || %(step)s WHERE slot = %(slot)s RETURNING who",
    "INSERT INTO unique_booking (slot, who) VALUES (%(slot)s, %(step)s) RETURNING who",
    "SELECT count(*) FROM unique_booking WHERE slot = %(slot)s",
    "INSERT INTO note (text) VALUES ('x')",
    "SELECT pg_advisory_xact_lock(%(slot)s)",
    "COMMIT",
)


def program(connection: Connection[TupleRow], step: int, texts: Sequence[str]) -> Callable[[int], object]:
    """Runs statements and returns all that they say."""

    def run(slot: int) -> list[object]:
        seen: list[object] = []
        for text in (*texts, "COMMIT"):
            try:
                if text == "COMMIT":
                    connection.commit()
                    continue
                cursor = connection.execute(text.encode(), {"slot": slot, "step": step})
                seen.append(sorted(map(str, cursor.fetchall())) if cursor.description else None)
            except psycopg.Error as error:
                connection.rollback()
                seen.append(error.sqlstate)
        return seen

    return run


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("seed", range(4))
def test_the_reduced_search_finds_all_outcomes(
    shop: Shop, connect: Connect, seed: int, level: Isolation
) -> None:
    source = random.Random(f"{seed} {level}")
    actors = [program(connect(), step, source.choices(STATEMENTS, k=3)) for step in (1, 10)]

    def ended(slot: int, outcomes: Sequence[Outcome[object]]) -> tuple[object, ...]:
        rows = shop.administrator.execute(
            "SELECT (SELECT taken FROM slot WHERE id = %(slot)s),"
            " ARRAY(SELECT who FROM booking WHERE slot = %(slot)s ORDER BY 1),"
            " ARRAY(SELECT who FROM unique_booking WHERE slot = %(slot)s)",
            {"slot": slot},
        ).fetchall()
        return (repr([one.value for one in outcomes]), repr(rows))

    explored, outcomes = {}, {}
    for reduction in (False, True):
        seen: set[object] = set()
        found = interleave(
            *actors,
            setup=shop.slot,
            invariant=lambda slot, each, seen=seen: seen.add(ended(slot, each)),  # type: ignore[misc]
            isolation=level,
            max_preemptions=None,
            max_seconds=60,
            reduction=reduction,
        )
        assert found.complete, found
        explored[reduction], outcomes[reduction] = found.explored, seen

    assert outcomes[True] == outcomes[False]
    assert explored[True] <= explored[False]


UNTOLD = {
    # Locks of a block that is undone are gone.
    "exception": ("SELECT reserve(%s)", "SELECT reserve(%s)"),
    # The COMMIT of DDL, and what reads it without a lock.
    "ddl": ("CREATE TABLE made (id int)", "SELECT to_regclass('made') IS NULL"),
    "locks": (
        "SELECT pg_advisory_xact_lock(%s)::text",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
    ),
}
RESERVE = """
CREATE TABLE reservation (slot bigint PRIMARY KEY);
CREATE FUNCTION reserve(which bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reservation VALUES (which);
    RETURN 'reserved';
EXCEPTION WHEN unique_violation THEN RETURN 'taken';
END $$
"""


@pytest.mark.parametrize("name", UNTOLD)
def test_what_locks_do_not_tell_is_run_in_both_orders(shop: Shop, connect: Connect, name: str) -> None:
    if name == "exception":
        shop.administrator.execute(RESERVE)

    def actor(text: str) -> Callable[[int], object]:
        connection = connect()

        def run(slot: int) -> object:
            with connection.transaction():
                cursor = connection.execute(text.encode(), [slot] if "%s" in text else None)
                return cursor.fetchone() if cursor.description else None

        return run

    def fresh_slot() -> int:
        shop.administrator.execute("DROP TABLE IF EXISTS made")
        return shop.slot()

    seen = set()
    first, second = UNTOLD[name]
    found = interleave(
        actor(first), actor(second), setup=fresh_slot, invariant=lambda _, each: seen.add(str(each[1]))
    )

    assert found.complete
    assert len(seen) == 2


@pytest.mark.parametrize("question", ["SELECT 1", "SELECT set_config('shop.tenant', '7', true)"])
def test_a_question_that_takes_the_snapshot_is_a_step(shop: Shop, connect: Connect, question: str) -> None:
    def actor() -> Callable[[int], object]:
        connection = connect()

        def count(slot: int) -> None:
            with connection.transaction():
                connection.execute(question.encode())
                connection.execute("UPDATE slot SET taken = taken + 1 WHERE id = %s", [slot])

        return count

    seen = set()
    interleave(
        actor(), actor(), setup=shop.slot, isolation="REPEATABLE READ",
        invariant=lambda _, each: seen.add(" ".join(map(str, each))),
    )  # fmt: skip

    # One after the other, neither fails.
    assert seen == {"None None", "None SerializationFailure 40001", "SerializationFailure 40001 None"}


def test_a_level_of_one_transaction_is_not_taken_for_that_of_the_next(shop: Shop, connect: Connect) -> None:
    counting, reading = connect(), connect(autocommit=True)

    def count(slot: int) -> None:
        with counting.transaction():
            counting.execute("UPDATE slot SET taken = taken + 1 WHERE id = %s", [slot])

    def read(slot: int) -> object:
        reading.execute("SET default_transaction_isolation = 'repeatable read'")
        for text in ("BEGIN ISOLATION LEVEL READ COMMITTED", "SELECT 4", "COMMIT", "BEGIN", "SELECT 5"):
            reading.execute(text.encode())
        try:
            reading.execute("SELECT taken FROM slot WHERE id = %s FOR UPDATE NOWAIT", [slot])
        except psycopg.Error as error:
            return error.sqlstate
        finally:
            reading.execute("ROLLBACK")
        return None

    seen = set()
    interleave(count, read, setup=shop.slot, invariant=lambda _, each: seen.add(each[1].value))

    assert seen == {None, "55P03", "40001"}
