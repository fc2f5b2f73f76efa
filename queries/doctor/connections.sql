-- Who has the server's connections?
--
-- One row per application, role and database, the largest first. Only clients' sessions: autovacuum, workers and
-- walsenders take none of max_connections. Of a session that is hidden from our role, all but the state shows.
SELECT coalesce(activity.application_name, '') AS application_name,
       pg_catalog.pg_get_userbyid(activity.usesysid)::pg_catalog.text AS "user",
       database.datname::pg_catalog.text AS database,
       pg_catalog.count(*)::pg_catalog.int4 AS sessions,
       pg_catalog.count(*) FILTER (WHERE activity.state OPERATOR(pg_catalog.=) 'idle')::pg_catalog.int4 AS idle
FROM pg_catalog.pg_stat_get_activity(NULL) AS activity
LEFT JOIN pg_catalog.pg_database AS database ON database.oid OPERATOR(pg_catalog.=) activity.datid
WHERE activity.backend_type OPERATOR(pg_catalog.=) 'client backend'
   OR (activity.backend_type IS NULL AND activity.datid IS NOT NULL AND activity.usesysid IS NOT NULL)
GROUP BY 1, 2, 3
ORDER BY 4 DESC, 1, 2, 3;
