-- Which database do transaction ids belong to here, and which one comes next?
--
-- A database's name may have had another database before; a server restored from a copy keeps its
-- `system_identifier`. `next_xid` has all 64 bits.
SELECT (SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()) AS system_identifier,
       (SELECT oid::bigint
           FROM pg_catalog.pg_database
           WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) AS oid,
       pg_catalog.current_database()::pg_catalog.text AS name,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text AS next_xid,
       pg_catalog.current_setting('track_commit_timestamp')
           OPERATOR(pg_catalog.=) 'on' AS has_commit_timestamps;
