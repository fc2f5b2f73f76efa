from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import errors

from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.statements.chunks import Chunks, split


@dataclass(frozen=True)
class Row:
    position: int


def table(oid: int, relations: int = 1, columns: int = 1, pages: int = 0, indexes: int = 0) -> Table:
    return Table(oid, "s", f"t{oid}", "table", ("c",) * columns, False, relations, pages, indexes)


class Server:
    """Fails a statement that reads a table of `failing`; those of `locked` until asked `patience` times."""

    def __init__(self, failing: dict[int, type[psycopg.Error]], locked: dict[int, int] | None = None) -> None:
        self.failing = failing
        self.locked = dict(locked or {})
        self.statements: list[list[int]] = []

    def execute(self, tables: Sequence[Table]) -> list[Row]:
        oids = [table.oid for table in tables]
        self.statements.append(oids)
        for oid in oids:
            if self.locked.get(oid, 0) > 0:
                self.locked[oid] -= 1
                raise errors.LockNotAvailable
            if oid in self.failing:
                raise self.failing[oid]
        return [Row(position) for position in range(len(tables))]

    def locked_now(self) -> frozenset[int]:
        return frozenset(oid for oid, times in self.locked.items() if times > 0)

    def run(self, tables: Sequence[Table]) -> tuple[set[int], dict[int, type[psycopg.Error]]]:
        counted, failed = set(), {}
        for of, outcome in Chunks(self.execute, self.locked_now).run(tables):
            assert of.oid not in counted
            assert of.oid not in failed
            if isinstance(outcome, psycopg.Error):
                failed[of.oid] = type(outcome)
            else:
                counted.add(of.oid)
        return counted, failed


def test_one_statement_if_nothing_fails() -> None:
    server = Server({})

    assert server.run([table(oid) for oid in range(100)]) == (set(range(100)), {})
    assert len(server.statements) == 1


def test_only_the_culprits_fail() -> None:
    server = Server({17: errors.InsufficientPrivilege, 63: errors.UndefinedTable})

    counted, failed = server.run([table(oid) for oid in range(100)])

    assert counted == set(range(100)) - {17, 63}
    assert failed == {17: errors.InsufficientPrivilege, 63: errors.UndefinedTable}
    assert len(server.statements) < 30


def test_after_a_timeout_no_table_waits_for_it_more_than_once() -> None:
    server = Server({42: errors.QueryCanceled})

    counted, failed = server.run([table(oid) for oid in range(100)])

    assert failed == {42: errors.QueryCanceled}
    assert len(counted) == 99
    assert sum(42 in oids for oids in server.statements) == 2


def test_locked_tables_are_asked_again_at_the_end_and_others_are_not_held_up() -> None:
    server = Server({}, locked={5: 2, 6: 99, 7: 99})

    counted, failed = server.run([table(oid) for oid in range(250)])

    assert counted == set(range(250)) - {6, 7}
    assert failed == {6: errors.LockNotAvailable, 7: errors.LockNotAvailable}
    # The first, what is free of it, the others; then those that were locked, one of which isn't any more.
    assert [len(oids) for oids in server.statements] == [100, 97, 100, 50, 3, 1]


def test_one_wait_is_enough_to_know_all_locked_tables() -> None:
    locked = dict.fromkeys(range(5, 1000, 10), 99)
    server = Server({}, locked=locked)

    counted, failed = server.run([table(oid) for oid in range(1000)])

    assert set(failed) == set(locked)
    assert counted == set(range(1000)) - set(locked)
    waits = [oids for oids in server.statements if not set(oids).isdisjoint(locked)]
    assert [len(oids) for oids in waits] == [100, 100]


def test_locks_that_belong_to_no_table_come_to_an_end() -> None:
    server = Server(dict.fromkeys((3, 4, 77), errors.LockNotAvailable))

    counted, failed = server.run([table(oid) for oid in range(100)])

    assert set(failed) == {3, 4, 77}
    assert len(counted) == 97
    assert len(server.statements) < 60


def test_a_lock_that_belongs_to_no_table_is_narrowed_down() -> None:
    server = Server({33: errors.LockNotAvailable})

    counted, failed = server.run([table(oid) for oid in range(100)])

    assert failed == {33: errors.LockNotAvailable}
    assert len(counted) == 99


@settings(deadline=None)
@given(
    st.integers(0, 130),
    st.dictionaries(
        st.integers(0, 130),
        st.sampled_from(
            [errors.UndefinedTable, errors.QueryCanceled, errors.LockNotAvailable, errors.DataCorrupted]
        ),
        max_size=8,
    ),
    st.dictionaries(st.integers(0, 130), st.integers(1, 30), max_size=8),
)
def test_every_table_comes_out_once_whatever_happens(
    number: int, failing: dict[int, type[psycopg.Error]], locked: dict[int, int]
) -> None:
    counted, failed = Server(failing, locked).run([table(oid) for oid in range(number)])

    assert counted | set(failed) == set(range(number))
    assert set(failed) <= set(failing) | set(locked)
    assert counted.isdisjoint(failing)


@pytest.mark.parametrize(
    ("tables", "lengths"),
    [
        ([], []),
        ([table(oid) for oid in range(201)], [100, 100, 1]),
        ([table(1), table(2, relations=5000), table(3)], [1, 1, 1]),
        ([table(oid, indexes=9) for oid in range(100)], [40, 40, 20]),
        ([table(oid, columns=400) for oid in range(5)], [2, 2, 1]),
        ([table(1), table(2, pages=1_000_000), table(3), table(4)], [1, 1, 2]),
    ],
)
def test_a_statement_reads_no_more_than_it_should(tables: list[Table], lengths: list[int]) -> None:
    parts = list(split(tables))

    assert [len(part) for part in parts] == lengths
    assert [table for part in parts for table in part] == tables
