-- Which tables of this database refer to which, by a foreign key?
--
-- A row per pair; keys of partitions are those of their root.
SELECT DISTINCT referring.relname::pg_catalog.text AS referring, referred.relname::pg_catalog.text AS referred
FROM pg_catalog.pg_constraint
JOIN pg_catalog.pg_class AS referring ON referring.oid OPERATOR(pg_catalog.=) conrelid
JOIN pg_catalog.pg_class AS referred ON referred.oid OPERATOR(pg_catalog.=) confrelid
WHERE contype OPERATOR(pg_catalog.=) 'f' AND conparentid OPERATOR(pg_catalog.=) 0;
