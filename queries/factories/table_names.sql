-- What are these tables called, quoted and by part?
--
-- `tables`: oids, separated by commas.
SELECT CAST(pg_class.oid AS bigint) AS oid, pg_catalog.format('%I.%I', nspname, relname) AS name,
       CAST(nspname AS pg_catalog.text) AS schema, CAST(relname AS pg_catalog.text) AS table
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
WHERE pg_class.oid OPERATOR(pg_catalog.=) ANY (
    CAST(pg_catalog.string_to_array(CAST(%(tables)s AS pg_catalog.text), ',') AS pg_catalog.oid[])
)
ORDER BY pg_class.oid;
