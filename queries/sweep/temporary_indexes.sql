-- Which indexes did a sweep that was killed leave behind?
--
-- Ours bear the oid of their table in their name, and are plain ones. Others may have given theirs a similar name.
SELECT namespace.nspname AS schema, class.relname AS name, index.indisvalid AS is_valid
FROM pg_catalog.pg_index AS index
JOIN pg_catalog.pg_class AS class ON class.oid OPERATOR(pg_catalog.=) index.indexrelid
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) class.relnamespace
WHERE class.relname OPERATOR(pg_catalog.~) '^pgwatch_sweep_[0-9]+_[0-9]+$'
  AND pg_catalog.split_part(class.relname::pg_catalog.text, '_', 3)
      OPERATOR(pg_catalog.=) index.indrelid::pg_catalog.text
  AND NOT index.indisunique
  AND index.indpred IS NULL
  AND index.indexprs IS NULL
ORDER BY namespace.nspname, class.relname;
