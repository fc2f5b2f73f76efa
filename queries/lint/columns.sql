-- Which columns do the tables of this database have, and which are unique by themselves?
--
-- Unique: a valid unique index has this column as its only key, also as an expression (lower(email)), for all
-- rows or some. Tables of extensions and of PostgreSQL itself are left out, and so are partitions.
SELECT pg_class.relname::pg_catalog.text AS table,
       pg_attribute.attname::pg_catalog.text AS column,
       EXISTS (
           SELECT FROM pg_catalog.pg_index
           WHERE pg_index.indrelid OPERATOR(pg_catalog.=) pg_class.oid AND indisunique AND indisvalid
             AND indnkeyatts OPERATOR(pg_catalog.=) 1
             AND (
                 indkey[0] OPERATOR(pg_catalog.=) attnum
                 OR (
                     indkey[0] OPERATOR(pg_catalog.=) 0 AND EXISTS (
                         SELECT FROM pg_catalog.pg_depend
                         WHERE classid OPERATOR(pg_catalog.=) 1259 AND objid OPERATOR(pg_catalog.=) indexrelid
                           AND refclassid OPERATOR(pg_catalog.=) 1259
                           AND refobjid OPERATOR(pg_catalog.=) pg_class.oid
                           AND refobjsubid OPERATOR(pg_catalog.=) attnum
                     )
                 )
             )
       ) AS is_unique
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) pg_class.oid
    AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped
WHERE relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog.text[]) AND NOT relispartition
  AND relpersistence::pg_catalog.text OPERATOR(pg_catalog.<>) 't'
  AND nspname OPERATOR(pg_catalog.<>) ALL (ARRAY['pg_catalog', 'information_schema', 'pg_toast']::pg_catalog.name[])
ORDER BY pg_class.relname, pg_class.oid, attnum;
