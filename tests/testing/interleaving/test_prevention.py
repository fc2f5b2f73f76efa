"""What would prevent a bad schedule: said where it follows or was tried, and nowhere else."""

from __future__ import annotations

import pytest

from pgwatch_tests.testing import interleave
from pgwatch_tests.testing.interleaving.prevention import advice
from pgwatch_tests.testing.interleaving.schedules.step import Step
from tests.testing.interleaving.conftest import Book, Shop


def steps(*texts: str) -> list[Step]:
    """Two actors, each of which makes all of these steps."""
    return [Step(actor, "statement", text) for text in texts for actor in (0, 1)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            ("SELECT count(*) FROM b WHERE slot = 7", "INSERT INTO b (slot, who) VALUES (7, 'a, (b)')"),
            ["a UNIQUE constraint on b(slot)"],
        ),
        (
            (
                "SELECT b.id AS b_id \nFROM b \nWHERE b.slot = 7::BIGINT AND b.day = '2024-01-01'::DATE",
                "INSERT INTO b (day, slot) VALUES ('2024-01-01'::DATE, 7::BIGINT) RETURNING b.id",
            ),
            ["a UNIQUE constraint on b(day, slot)"],
        ),
        (
            ("SELECT taken FROM s WHERE id = 3", "UPDATE s SET taken = 4 WHERE id = 3"),
            ["SELECT … FOR UPDATE of s where id = 3"],
        ),
        (
            (
                'SELECT "s"."id", "s"."taken" FROM "s" WHERE "s"."id" = 3 LIMIT 21',
                'UPDATE "s" SET "taken" = 4 WHERE "s"."id" = 3',
            ),
            ['SELECT … FOR UPDATE of "s" where id = 3'],
        ),
        (("SELECT taken FROM s WHERE id = 3 FOR UPDATE", "UPDATE s SET taken = 4 WHERE id = 3"), []),
        (("SELECT taken FROM s WHERE id = 3", "UPDATE s SET taken = 4 WHERE id = 5"), []),
        (("UPDATE s SET taken = 4 WHERE id = 3", "SELECT taken FROM s WHERE id = 3"), []),
        (("SELECT count(*) FROM b WHERE slot > 7", "INSERT INTO b (slot) VALUES (8)"), []),
        (("SELECT count(*) FROM b WHERE slot = 7", "INSERT INTO b (slot) VALUES (8)"), []),
        (("SELECT count(*) FROM b JOIN c USING (d) WHERE slot = 7", "INSERT INTO b (slot) VALUES (7)"), []),
    ],
)
def test_what_follows_from_the_statements(texts: tuple[str, ...], expected: list[str]) -> None:
    assert advice(steps(*texts)) == expected


def test_serializable_is_said_once_it_was_tried(shop: Shop, bookers: list[Book]) -> None:
    found = interleave(*bookers[:2], setup=shop.slot, invariant=shop.is_booked_once)

    assert found.prevention[0] == "a UNIQUE constraint on booking(slot)"
    assert found.prevention[1].startswith("SERIALIZABLE (tried: ")
    assert "\nwhat would prevent it: a UNIQUE constraint on booking(slot); SERIALIZABLE (tried: " in str(
        found
    )


def test_serializable_isn_t_said_where_it_doesn_t_help(shop: Shop, bookers: list[Book]) -> None:
    found = interleave(*bookers[:2], setup=shop.slot, invariant=lambda *_: False)

    assert [one for one in found.prevention if "SERIALIZABLE" in one] == []
