-- Which schemas are there in this database, how old are they, and may we drop them?
--
-- `age_s`: since the milliseconds in the name, by the server's clock; NULL without. Which of them are tests' is
-- decided by the names. `kept_until`: the time to come that its comment
-- tells, by `testing.isolation.kept_places`; or empty.
SELECT nspname::pg_catalog.text AS name,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8
           OPERATOR(pg_catalog.-) (
               substring(nspname::pg_catalog.text FROM '^test_(1[0-9]{12})_')::pg_catalog.float8
               OPERATOR(pg_catalog./) 1000
           ) AS age_s,
       coalesce(
           (
               SELECT text
               FROM pg_catalog.substring(
                   pg_catalog.obj_description(pg_namespace.oid, 'pg_namespace'),
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
       pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(nspowner)) AS owner,
       pg_catalog.quote_ident(current_user) AS asking,
       pg_catalog.pg_has_role(nspowner, 'USAGE') AS is_ours,
       pg_catalog.quote_ident(pg_catalog.current_database()::pg_catalog.text) AS database,
       -- Without it, not even its owner may rename a schema.
       pg_catalog.has_database_privilege(
           pg_catalog.current_database()::pg_catalog.text, 'CREATE'
       ) AS may_create
FROM pg_catalog.pg_namespace
WHERE nspname OPERATOR(pg_catalog.!~) '^pg_' AND nspname OPERATOR(pg_catalog.<>) 'information_schema'
ORDER BY nspname;
