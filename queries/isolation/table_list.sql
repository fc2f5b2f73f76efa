-- Which tables are in this database, other than PostgreSQL's own?
--
-- Those with rows of their own: partitions, not what they are partitions of. `has_rules`: deleting from it may write
-- elsewhere, by a trigger of its user or a rule. OIDs from 16384 on are given to what users make (transam.h).
SELECT nspname::pg_catalog.text AS schema, relname::pg_catalog.text AS name,
       relhasrules OR EXISTS (
           SELECT FROM pg_catalog.pg_trigger
           WHERE tgrelid OPERATOR(pg_catalog.=) pg_class.oid AND NOT tgisinternal
       ) AS has_rules
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
WHERE pg_class.oid OPERATOR(pg_catalog.>=) 16384
  AND relkind OPERATOR(pg_catalog.=) 'r'
  AND relpersistence OPERATOR(pg_catalog.<>) 't'
ORDER BY nspname, relname;
