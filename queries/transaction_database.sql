-- Which database do transaction ids belong to here, and which one comes next?
--
-- A database's name may have had another database before; a server restored from a copy keeps its
-- `system_identifier`. `next_xid` has all 64 bits.
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier,
       (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AS oid,
       pg_catalog.current_database()::text AS name,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS next_xid,
       pg_catalog.current_setting('track_commit_timestamp') = 'on' AS has_commit_timestamps;
