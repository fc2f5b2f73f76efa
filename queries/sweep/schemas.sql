-- Which schemas are there in this database, how old are they, and may we drop them?
--
-- `age_s`: since the milliseconds in the name, by the server's clock; NULL without. Which of them are tests' is
-- decided by the names.
SELECT nspname::pg_catalog.text AS name,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8
           OPERATOR(pg_catalog.-) (
               substring(nspname::pg_catalog.text FROM '^test_(1[0-9]{12})_')::pg_catalog.float8
               OPERATOR(pg_catalog./) 1000
           ) AS age_s,
       pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(nspowner)) AS owner,
       pg_catalog.quote_ident(current_user) AS asking,
       pg_catalog.pg_has_role(nspowner, 'USAGE') AS is_ours
FROM pg_catalog.pg_namespace
WHERE nspname OPERATOR(pg_catalog.!~) '^pg_' AND nspname OPERATOR(pg_catalog.<>) 'information_schema'
ORDER BY nspname;
