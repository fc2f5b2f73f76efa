-- Which other databases are there, how old are they, may we drop them, and who is connected to them?
--
-- `age_s`: since the milliseconds in the name, by the server's clock; NULL without. Which of them are tests' is
-- decided by the names. Neither our own sessions nor the server's processes, which have no user, count as somebody.
-- Parameter: own_name, the application_name of our own sessions.
SELECT database.datname::text AS name,
       database.oid::bigint AS oid,
       extract(epoch FROM clock_timestamp())::float8
           - substring(database.datname::text FROM '^test_(1[0-9]{12})_')::float8 / 1000 AS age_s,
       pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(database.datdba)) AS owner,
       pg_catalog.quote_ident(current_user) AS asking,
       pg_catalog.pg_has_role(database.datdba, 'USAGE') AS is_ours,
       coalesce(connected.number, 0) AS sessions,
       coalesce(connected.example, '') AS example,
       coalesce(connected.own, 0) AS own_sessions
FROM pg_catalog.pg_database AS database
LEFT JOIN (
    SELECT datid,
           count(*) FILTER (WHERE application_name IS DISTINCT FROM %(own_name)s::text) AS number,
           min(concat_ws(' ', 'pid ' || pid, '(' || nullif(application_name, '') || ')'))
               FILTER (WHERE application_name IS DISTINCT FROM %(own_name)s::text) AS example,
           count(*) FILTER (WHERE application_name = %(own_name)s::text) AS own
    FROM pg_catalog.pg_stat_get_activity(NULL)
    WHERE usesysid IS NOT NULL
    GROUP BY datid
) AS connected ON connected.datid = database.oid
WHERE NOT database.datistemplate AND database.datname <> pg_catalog.current_database()
ORDER BY database.datname;
