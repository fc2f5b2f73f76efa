-- How many bytes do the tables of this schema take, with indexes and TOAST?
--
-- Locks each of them for a moment.
-- Parameter: schema.
SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(class.oid)), 0)::bigint AS size_bytes
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) class.relnamespace
WHERE namespace.nspname OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.name
  AND relkind OPERATOR(pg_catalog.=) ANY ('{r,m}');
