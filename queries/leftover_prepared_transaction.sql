-- Which transactions are prepared in this database, whose are they, and since when?
SELECT gid AS name,
       'owner ' || pg_catalog.pg_get_userbyid(ownerid) AS detail,
       extract(epoch FROM clock_timestamp() - prepared)::float8 AS age_s
FROM pg_catalog.pg_prepared_xact()
WHERE dbid = (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
ORDER BY prepared, gid;
