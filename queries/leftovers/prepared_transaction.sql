-- Which transactions are prepared in this database, whose are they, and since when?
--
-- Parameter since: the time of the baseline, NULL without; those of before aren't told.
SELECT gid AS name,
       'owner ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(ownerid) AS detail,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) prepared
       )::pg_catalog.float8 AS age_s
FROM pg_catalog.pg_prepared_xact()
WHERE dbid OPERATOR(pg_catalog.=) (
    SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
)
  AND (%(since)s::pg_catalog.timestamptz IS NULL
       OR prepared OPERATOR(pg_catalog.>=) %(since)s::pg_catalog.timestamptz)
ORDER BY prepared, gid;
