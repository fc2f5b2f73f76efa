-- How many deadlocks has the server counted in each of these databases, and does it count there at all?
-- Parameters: oids, an array of database OIDs, of which one that doesn't exist has counted 0; tested, the
-- name of one more database.
--
-- `is_counted`: not where track_counts is off for the server, the database, or a role that may work there.
-- Asked from any database: functions, since pg_stat_database joins pg_database and hangs while a session has
-- it locked.
SELECT database.oid,
       pg_catalog.pg_stat_get_db_deadlocks(database.oid) AS deadlocks,
       extract(epoch FROM pg_catalog.pg_stat_get_db_stat_reset_time(database.oid))::pg_catalog.float8 AS reset_at,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8 AS read_at,
       pg_catalog.bool_or(database.is_tested) AS is_tested,
       pg_catalog.current_setting('track_counts')::boolean AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_db_role_setting AS setting
           CROSS JOIN LATERAL pg_catalog.unnest(setting.setconfig) AS entry (text)
           WHERE setting.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, database.oid])
             AND pg_catalog.split_part(entry.text, '=', 1) OPERATOR(pg_catalog.=) 'track_counts'
             AND NOT pg_catalog.split_part(entry.text, '=', 2)::boolean
       ) AS is_counted
FROM (
    SELECT wanted.oid, false FROM pg_catalog.unnest(%(oids)s::pg_catalog.oid[]) AS wanted (oid)
    UNION ALL
    SELECT tested.oid, true
    FROM pg_catalog.pg_database AS tested
    WHERE tested.datname OPERATOR(pg_catalog.=) %(tested)s::pg_catalog.name
) AS database (oid, is_tested)
GROUP BY database.oid;
