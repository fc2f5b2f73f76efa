-- Who else is in this database, and could have written what its statistics don't tell yet?
--
-- One row per session or process; all but the pid is NULL if it is hidden from our role. Autovacuum writes
-- no rows.
SELECT pid,
       backend_type,
       state,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) state_change
       )::pg_catalog.float8 AS for_s
FROM pg_catalog.pg_stat_get_activity(NULL)
WHERE datid OPERATOR(pg_catalog.=) (
    SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
)
    AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
    AND (backend_type OPERATOR(pg_catalog.=) 'autovacuum worker') IS NOT TRUE
ORDER BY pid;
