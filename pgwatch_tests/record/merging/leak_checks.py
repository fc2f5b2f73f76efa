"""Leaks of one server, as the checks after several suites found them: each row counts once. Pure.

Shards that share a database find each other's rows. Only the check of a row's own suite may know its test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from pgwatch_tests.record.model import LeakEvent


def together(checks: Iterable[tuple[str, Sequence[LeakEvent]]]) -> tuple[LeakEvent, ...]:
    """What the checks found, each with its database: most rows first, other leftovers behind these.

    Of one table, at most as many rows as a check found, unless more are known by their tests: one check knows
    the test of rows that are unknown to another.
    """
    tables: defaultdict[tuple[str, str], list[list[LeakEvent]]] = defaultdict(list)
    others: dict[tuple[str, str, str], LeakEvent] = {}
    for database, leaks in checks:
        of_table: defaultdict[str, list[LeakEvent]] = defaultdict(list)
        for leak in leaks:
            there = replace(leak, database=leak.database or database)
            if leak.kind == "rows":
                of_table[leak.name].append(there)
                continue
            known = others.setdefault((there.database, there.kind, there.name), there)
            if there.test and not known.test:
                others[there.database, there.kind, there.name] = there
        for name, rows in of_table.items():
            tables[database, name].append(rows)
    rows = [leak for found in tables.values() for leak in _rows(found)]
    return (
        *sorted(rows, key=lambda one: (-one.rows, one.database, one.name, one.test, one.candidates)),
        *sorted(others.values(), key=lambda one: (one.kind, one.database, one.name)),
    )


def _rows(checks: Sequence[Sequence[LeakEvent]]) -> list[LeakEvent]:
    """The rows of one table, as several checks found them."""
    if len(checks) == 1:
        return list(checks[0])
    left = max(map(_number, checks))
    kept: list[LeakEvent] = []
    # Facts first, then guesses; what they leave of the largest check is unknown.
    for confidences in (("marker", "transaction"), ("1 of N",), ("unknown",)):
        most: dict[tuple[str, tuple[str, ...]], list[LeakEvent]] = {}
        for check in checks:
            by_test: defaultdict[tuple[str, tuple[str, ...]], list[LeakEvent]] = defaultdict(list)
            for leak in check:
                if leak.confidence in confidences:
                    by_test[leak.test, leak.candidates].append(leak)
            for whose, leaks in by_test.items():
                most[whose] = max(most.get(whose, []), leaks, key=_number)
        whole = sorted(most.values(), key=_largest_first)
        for leak in chain.from_iterable(whole):
            rows = leak.rows if "marker" in confidences else min(leak.rows, max(0, left))
            if rows:
                kept.append(replace(leak, rows=rows))
            left -= rows
    return kept


def _number(leaks: Sequence[LeakEvent]) -> int:
    return sum(leak.rows for leak in leaks)


def _largest_first(leaks: Sequence[LeakEvent]) -> tuple[int, str, tuple[str, ...]]:
    return -_number(leaks), leaks[0].test, leaks[0].candidates
