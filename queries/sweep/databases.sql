-- Which other databases are there, how old are they, may we drop them, and who is connected to them?
--
-- `age_s`: since the milliseconds in the name, by the server's clock; NULL without. Which of them are tests' is
-- decided by the names. `kept_until`: the time to come that its comment
-- tells, by `testing.isolation.kept_places`; or empty. Neither our own sessions nor the server's processes, which have no user, count as somebody.
-- Parameter: own_name, the application_name of our own sessions.
SELECT database.datname::pg_catalog.text AS name,
       database.oid::bigint AS oid,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8
           OPERATOR(pg_catalog.-) (
               substring(database.datname::pg_catalog.text FROM '^test_(1[0-9]{12})_')::pg_catalog.float8
               OPERATOR(pg_catalog./) 1000
           ) AS age_s,
       coalesce(
           (
               SELECT text
               FROM pg_catalog.substring(
                   pg_catalog.shobj_description(database.oid, 'pg_database'),
                   '^pgwatch-tests: kept until ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)$'
               ) AS kept (text)
               WHERE (text COLLATE pg_catalog."C")
                   OPERATOR(pg_catalog.>) pg_catalog.to_char(
                       pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()),
                       'YYYY-MM-DD"T"HH24:MI:SS"Z"'
                   )
           ),
           ''
       ) AS kept_until,
       pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(database.datdba)) AS owner,
       pg_catalog.quote_ident(current_user) AS asking,
       pg_catalog.pg_has_role(database.datdba, 'USAGE') AS is_ours,
       coalesce(connected.number, 0) AS sessions,
       coalesce(connected.example, '') AS example,
       coalesce(connected.own, 0) AS own_sessions
FROM pg_catalog.pg_database AS database
LEFT JOIN (
    SELECT datid,
           pg_catalog.count(*) FILTER (
               WHERE (application_name
                   OPERATOR(pg_catalog.=) %(own_name)s::pg_catalog.text) IS NOT TRUE) AS number,
           pg_catalog.min(pg_catalog.concat_ws(
               ' ',
               'pid ' OPERATOR(pg_catalog.||) pid,
               CASE WHEN application_name OPERATOR(pg_catalog.<>) ''
                    THEN '(' OPERATOR(pg_catalog.||) application_name OPERATOR(pg_catalog.||) ')' END
           ))
               FILTER (WHERE (application_name
                   OPERATOR(pg_catalog.=) %(own_name)s::pg_catalog.text) IS NOT TRUE) AS example,
           pg_catalog.count(*) FILTER (
               WHERE application_name OPERATOR(pg_catalog.=) %(own_name)s::pg_catalog.text) AS own
    FROM pg_catalog.pg_stat_get_activity(NULL)
    WHERE usesysid IS NOT NULL
    GROUP BY datid
) AS connected ON connected.datid OPERATOR(pg_catalog.=) database.oid
WHERE NOT database.datistemplate AND database.datname OPERATOR(pg_catalog.<>) pg_catalog.current_database()
ORDER BY database.datname;
