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
