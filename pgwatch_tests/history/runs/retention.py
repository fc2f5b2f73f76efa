"""Retention of runs: old builds go, a few at a time, and now and then the names that no run has any more.

A name is looked up and then referred to in one transaction. Who does that holds the lock of the names, shared
with others who do; who removes names holds it alone. In SQLite, a transaction that writes is alone anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select

from pgwatch_tests.history.layout import is_postgresql, may_delete
from pgwatch_tests.history.runs.strings import AT_ONCE, portions, unpacked
from pgwatch_tests.history.tables import (
    BUILDS,
    RUN_CAUSES,
    RUN_DEADLOCKS,
    RUN_LEAKS,
    RUN_OBJECTS,
    RUN_OUTCOMES,
    RUN_PAIRS,
    RUNS,
    STRINGS,
    TEST_SETS,
)

NAMES_OF_BUILD = ("repository", "branch", "commit", "ci")
NAMES_OF_RUN = (
    *("shard", "command", "machine", "account", "ci_job", "program_version"),
    *("server", "database", "server_version"),
)
NAMES_OF_ROWS: Mapping[Table, tuple[str, ...]] = {
    RUN_PAIRS: ("blocker", "waiter", "object", "cause"),
    RUN_OBJECTS: ("object", "mode"),
    RUN_CAUSES: ("cause",),
    RUN_DEADLOCKS: ("who", "object"),
    RUN_LEAKS: ("test", "kind", "name", "confidence"),
    RUN_OUTCOMES: ("test",),
}
"""Columns that refer to strings, in the tables that have rows of a run."""

_FORGOTTEN_AT_ONCE = 10  # builds: no run waits long for others to be forgotten
_TIDY_EVERY = 500  # builds that are forgotten: all that is referred to has to be read
_MOST_RUNS = 20_000  # with more of them that takes seconds, for which no run is held up
_REMOVED_AT_ONCE = 20_000
_CLEANING_KEY = 0x70677768_636C6561  # 'pgwhclea': the advisory lock of who forgets old runs
_NAMES_KEY = 0x70677768_6E616D65  # 'pgwhname': the advisory lock of the names


def hold_names(connection: Connection) -> None:
    """Keeps names from being removed until the end of the transaction. Others may hold them as well."""
    if is_postgresql(connection):
        connection.execute(select(func.pg_catalog.pg_advisory_xact_lock_shared(_NAMES_KEY)))


def forget(connection: Connection, oldest: datetime) -> bool:
    """Forgets a few of the builds that began before `oldest`, if this role may, and nobody else is at it.

    Returns whether it is time to remove names that nothing refers to, and done quickly.
    """
    query = (
        select(BUILDS.c.id).where(BUILDS.c.began < oldest).order_by(BUILDS.c.began).limit(_FORGOTTEN_AT_ONCE)
    )
    builds = connection.execute(query).scalars().all()
    if not builds or not may_delete(connection, BUILDS):
        return False
    if is_postgresql(connection):
        lock = func.pg_catalog.pg_try_advisory_xact_lock(_CLEANING_KEY)
        if not connection.execute(select(lock)).scalar():
            return False
    connection.execute(delete(BUILDS).where(BUILDS.c.id.in_(builds)))
    is_due = any(build % _TIDY_EVERY == 0 for build in builds)
    return is_due and connection.execute(select(func.count()).select_from(RUNS)).scalar_one() <= _MOST_RUNS


@dataclass(frozen=True, slots=True)
class Unused:
    """Names and sets of tests that nothing referred to, and the runs and builds that were looked at."""

    strings: frozenset[int]
    test_sets: frozenset[int]
    runs: frozenset[int]
    builds: frozenset[int]


def unused(connection: Connection) -> Unused:
    """Returns what nothing refers to; nobody is held up by that."""
    runs = _numbers(connection, RUNS.c.id)
    test_sets = _numbers(connection, RUNS.c.test_set, RUNS.c.test_set.is_not(None))
    strings = _in_test_sets(connection, test_sets)
    for table, names in ((BUILDS, NAMES_OF_BUILD), (RUNS, NAMES_OF_RUN), *NAMES_OF_ROWS.items()):
        for name in names:
            strings |= _numbers(connection, table.c[name])
    return Unused(
        frozenset(_numbers(connection, STRINGS.c.id) - strings),
        frozenset(_numbers(connection, TEST_SETS.c.id) - test_sets),
        frozenset(runs),
        frozenset(_numbers(connection, BUILDS.c.id)),
    )


def remove(connection: Connection, found: Unused) -> int | None:
    """Removes names that are still unused, in the transaction of the connection; returns how many.

    None: this role may not, or a run is being added at this moment, and another time will do.
    """
    if not all(may_delete(connection, table) for table in (STRINGS, TEST_SETS)):
        return None
    if is_postgresql(connection):
        lock = func.pg_catalog.pg_try_advisory_xact_lock(_NAMES_KEY)
        if not connection.execute(select(lock)).scalar():
            return None
    strings, test_sets = _added_since(connection, found)
    for some in portions(sorted(found.test_sets - test_sets), AT_ONCE):
        connection.execute(delete(TEST_SETS).where(TEST_SETS.c.id.in_(some)))
    gone = sorted(found.strings - strings)[:_REMOVED_AT_ONCE]
    for some in portions(gone, AT_ONCE):
        connection.execute(delete(STRINGS).where(STRINGS.c.id.in_(some)))
    return len(gone)


def _added_since(connection: Connection, found: Unused) -> tuple[set[int], set[int]]:
    """The names, and the sets of tests, that runs and builds have that weren't there then."""
    builds = sorted(_numbers(connection, BUILDS.c.id) - found.builds)
    runs = sorted(_numbers(connection, RUNS.c.id) - found.runs)
    test_sets: set[int] = set()
    strings: set[int] = set()
    for some in portions(builds, AT_ONCE):
        strings |= _referred(connection, BUILDS, NAMES_OF_BUILD, BUILDS.c.id.in_(some))
    for some in portions(runs, AT_ONCE):
        test_sets |= _numbers(connection, RUNS.c.test_set, RUNS.c.id.in_(some), RUNS.c.test_set.is_not(None))
        strings |= _referred(connection, RUNS, NAMES_OF_RUN, RUNS.c.id.in_(some))
        for table, names in NAMES_OF_ROWS.items():
            strings |= _referred(connection, table, names, table.c.run.in_(some))
    return strings | _in_test_sets(connection, test_sets), test_sets


def _referred(
    connection: Connection, table: Table, names: Sequence[str], condition: ColumnElement[bool]
) -> set[int]:
    """The names in these columns, of the rows that meet the condition."""
    rows = connection.execute(select(*(table.c[name] for name in names)).where(condition))
    return {number for row in rows for number in row}


def _in_test_sets(connection: Connection, test_sets: set[int]) -> set[int]:
    """The names of the tests in these sets."""
    return {number for content in _contents(connection, test_sets) for number in unpacked(content)}


def _contents(connection: Connection, test_sets: set[int]) -> Iterator[bytes]:
    for some in portions(sorted(test_sets), AT_ONCE):
        yield from connection.execute(select(TEST_SETS.c.tests).where(TEST_SETS.c.id.in_(some))).scalars()


def _numbers(
    connection: Connection, column: ColumnElement[int], *conditions: ColumnElement[bool]
) -> set[int]:
    return set(connection.execute(select(column).where(*conditions).distinct()).scalars())
