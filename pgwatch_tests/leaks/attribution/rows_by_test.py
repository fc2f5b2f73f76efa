"""Leaked rows, grouped by the test that left them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pgwatch_tests.leaks.model import Attribution, Confidence, TableLeak

CERTAIN: tuple[Confidence, ...] = ("marker", "transaction")
"""The confidences that name a test; the other ones are guesses or nothing."""


@dataclass(frozen=True, slots=True)
class TestLeak:
    """The rows that one test left, known with this confidence; `test` is empty if unknown."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    test: str
    confidence: Confidence
    rows: int
    tables: tuple[tuple[str, int], ...]
    """`schema.table` and rows, most rows first."""
    candidates: tuple[str, ...] = ()
    detail: str = ""


def is_certain(one: TestLeak | Attribution) -> bool:
    """Whether it is known which test left the rows."""
    return one.confidence in CERTAIN and bool(one.test)


def by_test(tables: Iterable[TableLeak]) -> tuple[TestLeak, ...]:
    """Returns tests with the most rows first, then suspected ones, then unknown ones.

    Empty if it wasn't asked who left them.
    """
    rows: dict[Attribution, dict[str, int]] = {}
    for table in tables:
        for one in table.attribution:
            # The same verdict, whatever the table.
            of_test = rows.setdefault(replace(one, rows=0), {})
            name = f"{table.schema}.{table.table}"
            of_test[name] = of_test.get(name, 0) + one.rows
    test_leaks = [
        TestLeak(
            verdict.test,
            verdict.confidence,
            sum(of_tables.values()),
            tuple(sorted(of_tables.items(), key=lambda item: (-item[1], item[0]))),
            verdict.candidates,
            verdict.detail,
        )
        for verdict, of_tables in rows.items()
    ]
    return tuple(sorted(test_leaks, key=_rank))


def _rank(one: TestLeak) -> tuple[object, ...]:
    certainty = 0 if one.confidence in CERTAIN else 1 if one.confidence == "1 of N" else 2
    return certainty, -one.rows, one.test, one.confidence, one.candidates, one.detail
