-- Which tables of this database could be counted in, and what may our role read of each?
--
-- One row per table with rows of its own to read: no partitions (their root stands for them), no
-- temporary tables, none of the server's own schemas.
SELECT nspname AS schema,
       relname AS table,
       relkind OPERATOR(pg_catalog.=) 'f' AS is_foreign,
       -- NULL if it is gone by now.
       coalesce(pg_catalog.has_schema_privilege(relnamespace, 'USAGE'), true) AS schema_usage,
       coalesce(pg_catalog.has_table_privilege(pg_class.oid, 'SELECT'), true)
           OR NOT EXISTS (
               SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid OPERATOR(pg_catalog.=) pg_class.oid
                   AND attnum OPERATOR(pg_catalog.>) 0
                   AND NOT attisdropped
                   AND NOT coalesce(pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT'), true)
           ) AS readable,
       (
           -- NULL without a primary key.
           SELECT pg_catalog.bool_and(
               coalesce(pg_catalog.has_column_privilege(indrelid, attnum, 'SELECT'), true)
           )
           FROM pg_catalog.pg_index
           CROSS JOIN LATERAL pg_catalog.unnest(indkey::pg_catalog.int2[]) 
               WITH ORDINALITY AS key (attnum, position)
           WHERE indrelid OPERATOR(pg_catalog.=) pg_class.oid
               AND indisprimary
               AND key.position OPERATOR(pg_catalog.<=) indnkeyatts
       ) AS key_readable,
       coalesce(pg_catalog.row_security_active(pg_class.oid), false) AS row_security
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f}')
    AND relpersistence OPERATOR(pg_catalog.<>) 't'
    AND NOT relispartition
    AND nspname OPERATOR(pg_catalog.!~) '^pg_'
    AND nspname OPERATOR(pg_catalog.<>) 'information_schema'
ORDER BY nspname, relname;
