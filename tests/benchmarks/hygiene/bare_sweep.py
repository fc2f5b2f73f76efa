"""The shortest honest SQL for what a sweep does: a scan of each table, a query a key and wave, one DELETE.

It asks nothing about ages, locks, triggers and real rows, and everything that it finds goes.
"""

from __future__ import annotations

import time
from collections import defaultdict

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

_TABLES = """
SELECT attrelid::regclass::text, array_agg(attname::text)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND atttypid = 'text'::regtype AND attnum > 0
GROUP BY 1
"""
_KEYS = """
SELECT confrelid::regclass::text, conrelid::regclass::text, array_agg(child.attname::text ORDER BY n),
       array_agg(parent.attname::text ORDER BY n)
FROM pg_constraint
CROSS JOIN unnest(conkey, confkey) WITH ORDINALITY AS pair (child_number, parent_number, n)
JOIN pg_attribute AS child ON child.attrelid = conrelid AND child.attnum = child_number
JOIN pg_attribute AS parent ON parent.attrelid = confrelid AND parent.attnum = parent_number
WHERE contype = 'f' AND confdeltype IN ('a', 'r', 'c')
GROUP BY pg_constraint.oid, 1, 2
"""
_MARKED = (
    "{column} ILIKE '%@test.example.com'"
    " OR {column} ~ '^[A-Za-z][A-Za-z0-9-]*(_[A-Za-z0-9-]+)*_1[0-9]{{12}}_'"
)

Rows = dict[str, set[str]]
"""ctids by table."""


def closure(connection: Connection[TupleRow]) -> Rows:
    """The marked rows, and all that refers to them by keys that take along."""
    found: Rows = {}
    for table, columns in connection.execute(_TABLES).fetchall():
        marked = sql.SQL(" OR ").join(
            sql.SQL(_MARKED).format(column=sql.Identifier(column)) for column in columns
        )
        query = sql.SQL("SELECT ctid::text FROM {} WHERE {}").format(sql.Identifier(table), marked)
        found[table] = {ctid for (ctid,) in connection.execute(query)}
    children: defaultdict[str, list[tuple[str, sql.Composed]]] = defaultdict(list)
    for parent, child, child_columns, parent_columns in connection.execute(_KEYS).fetchall():
        condition = sql.SQL(" AND ").join(
            sql.SQL("c.{} = p.{}").format(sql.Identifier(ours), sql.Identifier(theirs))
            for ours, theirs in zip(child_columns, parent_columns, strict=True)
        )
        referring = sql.SQL(
            "SELECT c.ctid::text FROM {} AS p JOIN {} AS c ON {} WHERE p.ctid = ANY (%s::tid[])"
        ).format(sql.Identifier(parent), sql.Identifier(child), condition)
        children[parent].append((child, referring))
    wave = {table: set(ctids) for table, ctids in found.items() if ctids}
    while wave:
        following: defaultdict[str, set[str]] = defaultdict(set)
        for table, ctids in wave.items():
            for child, query in children[table]:
                following[child] |= {ctid for (ctid,) in connection.execute(query, [list(ctids)])}
        wave = {}
        for table, ctids in following.items():
            if ctids - found[table]:
                wave[table] = ctids - found[table]
                found[table] |= ctids
    return found


def delete(connection: Connection[TupleRow], rows: Rows) -> None:
    """All of them in one statement, at whose end the keys are looked at."""
    parts = [
        sql.SQL("d{} AS (DELETE FROM {} WHERE ctid = ANY ({}::tid[]))").format(
            sql.SQL(str(place)), sql.Identifier(table), sql.Literal(sorted(ctids))
        )
        for place, (table, ctids) in enumerate(rows.items())
        if ctids
    ]
    connection.execute(sql.SQL("WITH {} SELECT").format(sql.SQL(", ").join(parts)))


def timed(dsn: str, *, deleting: bool) -> tuple[float, int]:
    """How long it took, from connecting on, in seconds, and how many rows it was about."""
    begun = time.perf_counter()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.prepare_threshold = None
        found = closure(connection)
        if deleting:
            delete(connection, found)
    return time.perf_counter() - begun, sum(map(len, found.values()))
