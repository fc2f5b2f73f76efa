-- Which tables of this database are unlogged, so that a crash empties them?
SELECT nspname || '.' || relname AS name, 'owner ' || pg_catalog.pg_get_userbyid(relowner) AS detail
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relpersistence = 'u' AND relkind IN ('r', 'p', 'm')
ORDER BY nspname, relname;
