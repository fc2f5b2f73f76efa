-- Which indexes did a sweep that was killed leave behind?
SELECT nspname AS schema, relname AS name, indisvalid AS is_valid
FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relname ~ '^pgwatch_sweep_[0-9]+_[0-9]+$'
ORDER BY nspname, relname;
