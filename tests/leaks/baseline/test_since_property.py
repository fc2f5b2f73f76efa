"""Whatever is done: by statistics and by a look at each table, the same rows count, and the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.leaks.baseline.baselines import compared, has_trustworthy_statistics, taken, until_empty, use
from tests.leaks.scanning import rows
from tests.servers.sessions import Database, unique_name

TABLES = ("plain", "keyed", "root", "parent", "child", "quiet")
# Each row says by itself when its present version was written.
SETUP = (
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public",
    "CREATE TABLE plain (id int, era text)",
    "CREATE TABLE keyed (id int PRIMARY KEY, era text) WITH (fillfactor = 50)",
    "CREATE TABLE root (id int, era text) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF root FOR VALUES FROM (MINVALUE) TO (5)",
    "CREATE TABLE high PARTITION OF root DEFAULT",
    "CREATE TABLE parent (id int, era text)",
    "CREATE TABLE child () INHERITS (parent)",
    "CREATE TABLE quiet (id int, era text)",
)
FILL = "INSERT INTO {table} SELECT g, 'before' FROM generate_series(1, 9) AS g"
BODIES = (
    "INSERT INTO {table} SELECT {id}, '{era}' WHERE NOT EXISTS (SELECT FROM ONLY_ AS t WHERE t.id = {id})",
    "UPDATE ONLY_ SET era = '{era}' WHERE id % 3 = {id} % 3",
    "UPDATE ONLY_ SET id = id + 100, era = '{era}' WHERE id = {id}",
    "DELETE FROM ONLY_ WHERE id % 4 = {id} % 4",
    "TRUNCATE ONLY_",
    "SELECT FROM ONLY_ FOR UPDATE",
)
OUTSIDE = ("VACUUM {table}", "VACUUM (FREEZE) {table}", "VACUUM (FULL) {table}", "ANALYZE {table}")


@dataclass(frozen=True, slots=True)
class Step:
    """Some statements, and how they end."""

    bodies: tuple[tuple[str, str, int, bool], ...]
    """Each: what, on which table, with which id, and whether in a savepoint."""
    end: str
    after: tuple[str, str] | None


bodies = st.tuples(st.sampled_from(BODIES), st.sampled_from(TABLES[:-1]), st.integers(0, 11), st.booleans())
steps = st.builds(
    Step,
    st.lists(bodies, min_size=1, max_size=4).map(tuple),
    st.sampled_from(["COMMIT", "COMMIT", "ROLLBACK", "PREPARED"]),
    st.none() | st.tuples(st.sampled_from(OUTSIDE), st.sampled_from(TABLES)),
)


def do(session: Connection[TupleRow], step: Step, era: str, end: bool = True) -> None:
    """Runs a step in one transaction, left open unless it is to `end`."""
    session.execute("BEGIN")
    for body, table, number, nested in step.bodies:
        if nested:
            session.execute("SAVEPOINT s")
        only = table if table == "root" else f"ONLY {table}"
        session.execute(body.replace("ONLY_", only).format(table=table, id=number, era=era).encode())
        if nested:
            session.execute("ROLLBACK TO s" if number == 0 else "RELEASE s")
    if end:
        finish(session, step)


def finish(session: Connection[TupleRow], step: Step) -> None:
    """Ends a step's transaction."""
    if step.end == "PREPARED":
        gid = unique_name()
        session.execute(f"PREPARE TRANSACTION '{gid}'".encode())
        session.execute(f"COMMIT PREPARED '{gid}'".encode())
    else:
        session.execute(step.end.encode())
    if step.after is not None:
        statement, table = step.after
        session.execute(statement.format(table=table).encode())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=3), st.none() | steps, st.lists(steps, max_size=4))
def test_by_statistics_and_by_a_look_at_each(
    database: Database, before: Sequence[Step], in_flight: Step | None, after: Sequence[Step]
) -> None:
    with (
        psycopg.connect(database.dsn, autocommit=True) as session,
        psycopg.connect(database.dsn, autocommit=True) as other,
    ):
        for statement in SETUP:
            session.execute(statement.encode())
        for table in TABLES:
            session.execute(FILL.format(table=table).encode())
        for step in before:
            do(session, step, "before")
        if in_flight is not None:
            do(other, in_flight, "after", end=False)
        session.execute("INSERT INTO quiet VALUES (99, 'before')")
        baseline = taken(database)
        if in_flight is not None:
            finish(other, in_flight)
        for step in after:
            do(session, step, "after")
        truth = {
            f"public.{table}": number for table in TABLES for number in [count(session, table)] if number
        }
        looked = compared(database, baseline)
    until_empty(database)
    by_statistics = compared(database, baseline)
    until_empty(database)

    assert rows(looked) == truth
    assert rows(by_statistics) == truth
    assert use(looked).way == "snapshot"
    if has_trustworthy_statistics(database):
        assert use(by_statistics).way == "statistics"
    assert looked.tables_checked == by_statistics.tables_checked == len(TABLES)


def count(session: Connection[TupleRow], table: str) -> int:
    """How many rows of a table say that they were written after the baseline."""
    only = table if table == "root" else f"ONLY {table}"
    row = session.execute(f"SELECT count(*) FROM {only} WHERE era = 'after'".encode()).fetchone()  # noqa: S608
    assert row is not None
    return int(row[0])
