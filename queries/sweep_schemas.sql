-- Which schemas are there in this database, how old are they, and may we drop them?
--
-- `age_s`: since the milliseconds in the name, by the server's clock; NULL without. Which of them are tests' is
-- decided by the names.
SELECT nspname::text AS name,
       extract(epoch FROM clock_timestamp())::float8
           - substring(nspname::text FROM '^test_(1[0-9]{12})_')::float8 / 1000 AS age_s,
       pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(nspowner)) AS owner,
       pg_catalog.quote_ident(current_user) AS asking,
       pg_catalog.pg_has_role(nspowner, 'USAGE') AS is_ours
FROM pg_catalog.pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
ORDER BY nspname;
