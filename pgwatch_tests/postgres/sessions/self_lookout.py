"""SQL of a count that looks out for waiters by itself, where no second session can do that for it.

It looks twice a second, and ends with an error that names whoever waits to change what it reads. It is
for when a plain count has taken long, since it reads the table to its end by itself: no index, no workers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

DATABASE = "database"
"""The result of `wanted_by` for somebody who drops, alters or copies the database."""

_MARK = "pgwatch-tests:"
_FOUND = re.compile(rf"{_MARK}(.*?):{_MARK}", re.DOTALL)
# Only its first fifth, so that most rows cost the look at a clock.
_PERIOD = b"""
CASE WHEN pg_catalog.date_part('milliseconds', pg_catalog.clock_timestamp())::int OPERATOR(pg_catalog.%) 500
        OPERATOR(pg_catalog.>=) 100 THEN true
    WHEN pg_catalog.current_setting('pgwatch_tests.looked', true) OPERATOR(pg_catalog.=) <now> THEN true
    ELSE pg_catalog.set_config('pgwatch_tests.looked', <now>, true) IS NOT NULL
        AND (<look>)::pg_catalog.int4 OPERATOR(pg_catalog.=) 0
END"""
_NOW = (
    b"pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) "
    b"OPERATOR(pg_catalog.*) 2)::bigint::pg_catalog.text"
)
# Who waits is told as in queries/server/reader_waiters.sql and own_database_wanted.sql. But in the select
# list, for a function in FROM is called once for all rows (ExecReScanFunctionScan, src/backend/executor).
# The backend may hold thousands of locks itself: a join of all with all would take seconds.
_FIRST_WAITER = b"""
SELECT coalesce(pg_catalog.min(pg_catalog.concat('<mark>', CASE
        WHEN waiting.locktype OPERATOR(pg_catalog.=) 'object' THEN '<database>'
        ELSE pg_catalog.concat(waiting.pid, ' ', activity.application_name) END, ':<mark>')), '0')
FROM (
    WITH lock AS MATERIALIZED (
        SELECT (one.lock).*
        FROM (
            SELECT pg_catalog.pg_lock_status() AS lock
            WHERE pg_catalog.num_nulls(counted.<column>) OPERATOR(pg_catalog.>=) 0
        ) AS one
        WHERE NOT (one.lock).granted
            OR (one.lock).pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
            OR (one.lock).classid OPERATOR(pg_catalog.=) 1262
    ), held AS (
        SELECT database, relation, virtualxid
        FROM lock
        WHERE granted AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
    )
    SELECT locktype, pid
    FROM lock
    WHERE NOT granted
            AND virtualxid OPERATOR(pg_catalog.=) ANY (
                SELECT virtualxid FROM held WHERE virtualxid IS NOT NULL
            )
        OR NOT granted
            AND locktype OPERATOR(pg_catalog.=) 'relation'
            AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
            AND (database, relation) OPERATOR(pg_catalog.=) ANY (
                SELECT database, relation FROM held WHERE relation IS NOT NULL
            )
        OR locktype OPERATOR(pg_catalog.=) 'object'
            AND classid OPERATOR(pg_catalog.=) 1262
            AND mode OPERATOR(pg_catalog.=) ANY ('{ShareLock,AccessExclusiveLock}')
            AND objid OPERATOR(pg_catalog.=) ANY (SELECT database FROM held WHERE database IS NOT NULL)
) AS waiting
LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(waiting.pid) AS activity ON true"""


def first_waiter(column: bytes) -> bytes:
    """A query of one text for a row of a table called `counted`: who waits, as `wanted_by` reads it, or `0`.

    `column` is any of the row's: with it, the locks are read anew for each row that asks.
    """
    query = _FIRST_WAITER.replace(b"<mark>", _MARK.encode()).replace(b"<database>", DATABASE.encode())
    return query.replace(b"<column>", column)


def with_lookout(source: bytes, columns: Sequence[bytes]) -> bytes:
    """A table (as it stands after FROM) as a subquery with some of its columns, at least one, that ends with
    an error once somebody waits for the end of the statement's transaction or its locks.
    """
    condition = _PERIOD.replace(b"<look>", first_waiter(columns[0])).replace(b"<now>", _NOW)
    return b"(SELECT %b FROM %b AS counted WHERE %b OFFSET 0) AS counted" % (
        b", ".join(columns),
        source,
        condition.strip(),
    )


def wanted_by(message: str) -> str | None:
    """Returns who waited, by the message of the error that ended a statement: DATABASE, or a pid and the
    name of the application; None for any other error.
    """
    match = _FOUND.search(message)
    return None if match is None else match[1]
