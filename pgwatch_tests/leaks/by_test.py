"""Leaked rows by the test that left them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_tests.leaks.model import Confidence, TableLeak

CERTAIN: tuple[Confidence, ...] = ("marker", "transaction")
"""How a test is known to have left a row; the others are guesses, or not even that."""


@dataclass(frozen=True, slots=True)
class TestLeak:
    """What one test left, as far as that is known with this confidence; `test` is empty if unknown."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    test: str
    confidence: Confidence
    rows: int
    tables: tuple[tuple[str, int], ...]
    """`schema.table` and rows, most rows first."""


def by_test(tables: Iterable[TableLeak]) -> tuple[TestLeak, ...]:
    """Most rows first, what nobody is known for last; empty if it wasn't asked who left them."""
    rows: dict[tuple[str, Confidence], dict[str, int]] = {}
    for table in tables:
        for one in table.attribution:
            of_test = rows.setdefault((one.test, one.confidence), {})
            name = f"{table.schema}.{table.table}"
            of_test[name] = of_test.get(name, 0) + one.rows
    found = [
        TestLeak(
            test,
            confidence,
            sum(of_tables.values()),
            tuple(sorted(of_tables.items(), key=lambda item: (-item[1], item[0]))),
        )
        for (test, confidence), of_tables in rows.items()
    ]
    return tuple(sorted(found, key=lambda one: (not one.test, -one.rows, one.test, one.confidence)))
