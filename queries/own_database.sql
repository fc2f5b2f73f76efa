-- Which database is this session in, on a server that was started when?
--
-- A database that is made anew under the same name has another OID; another server, or the same one after a
-- restart, was started at another time.
SELECT own.datid::bigint AS oid,
       extract(epoch FROM pg_catalog.pg_postmaster_start_time())::pg_catalog.text AS server_started
FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS own;
