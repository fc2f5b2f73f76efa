-- How many deadlocks has the server counted in each of these databases, and does it count at all?
-- Parameter: oids, an array of database OIDs; one that doesn't exist has counted 0.
--
-- Functions, not pg_stat_database: that view joins pg_database and hangs while a session has it locked.
SELECT database.oid,
       pg_catalog.pg_stat_get_db_deadlocks(database.oid) AS deadlocks,
       extract(epoch FROM pg_catalog.pg_stat_get_db_stat_reset_time(database.oid))::float8 AS reset_at,
       extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS read_at
FROM unnest(%(oids)s::oid[]) AS database (oid)
WHERE pg_catalog.current_setting('track_counts')::boolean;
