-- Which database is this, and since when do its statistics count everything?
--
-- Times are microseconds since 1970. A crash discards all statistics, and then the background writer's
-- are as young; a reload may have turned `track_counts` off and on again. The reset of one table's
-- counters is also the database's. The oid isn't read from pg_database, which may be locked.
SELECT pg_catalog.current_database()::pg_catalog.text AS database,
       (SELECT datid::bigint FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())) AS oid,
       pg_catalog.current_setting('server_version_num')::int AS version,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.clock_timestamp() AS read_at,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::bigint AS next_transaction,
       (extract(epoch FROM (
           SELECT pg_catalog.pg_stat_get_db_stat_reset_time(datid)
           FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
       )) OPERATOR(pg_catalog.*) 1000000)::bigint AS database_reset,
       (extract(epoch FROM pg_catalog.pg_stat_get_bgwriter_stat_reset_time())
           OPERATOR(pg_catalog.*) 1000000)::bigint
           AS server_reset,
       (extract(epoch FROM pg_catalog.pg_conf_load_time())
           OPERATOR(pg_catalog.*) 1000000)::bigint AS configured,
       pg_catalog.current_setting('track_counts')::boolean
           AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS setting
               WHERE setting OPERATOR(pg_catalog.~~) 'track_counts=%'
           ) AS counting;
