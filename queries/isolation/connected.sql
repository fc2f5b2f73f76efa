-- Who is connected to this database?
--
-- The pid, the application's name, and the state (empty where it isn't visible).
-- Parameter: database.
SELECT pid, coalesce(application_name, '') AS application_name, coalesce(state, '') AS state
FROM pg_catalog.pg_stat_get_activity(NULL)
JOIN pg_catalog.pg_database ON pg_database.oid OPERATOR(pg_catalog.=) datid
WHERE datname OPERATOR(pg_catalog.=) %(database)s::pg_catalog.name AND usesysid IS NOT NULL
ORDER BY pid;
