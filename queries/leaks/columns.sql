-- Which tables can hold markers, in which of their columns, and what forbids reading them?
--
-- One row per table, with its columns of types (by oid) that aren't `plain`, if it has any: ordinary tables,
-- partitions and their roots, populated materialised views and foreign tables, in all schemas but the server's
-- own. `has_functions` is whether any function is another role's than that which the server was made by.
-- Catalogs and functions that use nothing else: no lock on any of these tables is needed.
SELECT pg_class.oid::bigint AS oid,
       nspname AS schema,
       relname AS table,
       relkind::pg_catalog.text AS kind,
       relispartition AS is_partition,
       coalesce(columns, '{}') AS columns,
       coalesce(types, '{}') AS types,
       coalesce(readable, '{}') AS readable,
       coalesce(has_created_at, false) AS has_created_at,
       coalesce(pg_catalog.has_table_privilege(pg_class.oid, 'SELECT'), false) AS reads_all,
       pg_catalog.has_schema_privilege(relnamespace, 'USAGE') AS schema_usage,
       -- NULL if the table is gone by now.
       coalesce(pg_catalog.row_security_active(pg_class.oid), false) AS row_security,
       relforcerowsecurity AS owner_too,
       pg_catalog.pg_get_userbyid(relowner) AS owner,
       -- Before the first vacuum, a guess from the rows that were counted on the way in.
       (CASE WHEN relpages OPERATOR(pg_catalog.>) 0 THEN relpages
             ELSE pg_catalog.pg_stat_get_live_tuples(pg_class.oid)
                 OPERATOR(pg_catalog./) 100 END)::bigint AS pages,
       (SELECT pg_catalog.count(*)
           FROM pg_catalog.pg_index
           WHERE indrelid OPERATOR(pg_catalog.=) pg_class.oid) AS indexes,
       pg_class.xmin::pg_catalog.text::bigint AS xmin,
       relfilenode::bigint AS filenode,
       -- By which transactions its schema and these columns were made, or changed last.
       pg_catalog.concat_ws(' ', pg_namespace.xmin, column_xmins) AS others,
       -- 10: that role, which owns all of pg_catalog (src/include/catalog/pg_authid.dat).
       EXISTS (
           SELECT FROM pg_catalog.pg_proc
           WHERE pg_proc.oid OPERATOR(pg_catalog.>=) 16384 AND proowner OPERATOR(pg_catalog.<>) 10
       ) AS has_functions
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(attname) FILTER (WHERE is_wanted) AS columns,
           pg_catalog.array_agg(atttypid::bigint) FILTER (WHERE is_wanted) AS types,
           pg_catalog.array_agg(can_read) FILTER (WHERE is_wanted) AS readable,
           pg_catalog.bool_or(can_read AND NOT is_wanted) AS has_created_at,
           pg_catalog.string_agg(column_xmin::pg_catalog.text, ' ') AS column_xmins
    FROM (
        SELECT attname, atttypid, is_wanted, column_xmin,
               -- NULL if the table or the column is gone by now.
               coalesce(pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT'), true) AS can_read
        FROM (
            SELECT attrelid, attnum, attname, atttypid, xmin AS column_xmin,
                   atttypid OPERATOR(pg_catalog.<>) ALL (%(plain)s::pg_catalog.oid[]) AS is_wanted
            FROM pg_catalog.pg_attribute
            WHERE attrelid OPERATOR(pg_catalog.=) pg_class.oid
                AND attnum OPERATOR(pg_catalog.>) 0
                AND NOT attisdropped
        ) AS attribute
        -- timestamp, timestamptz
        WHERE is_wanted
            OR (attname OPERATOR(pg_catalog.=) 'created_at'
                AND atttypid OPERATOR(pg_catalog.=) ANY ('{1114,1184}'))
        ORDER BY attnum
    ) AS wanted
) AS found
WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f}')
    AND relpersistence OPERATOR(pg_catalog.<>) 't'
    AND nspname OPERATOR(pg_catalog.!~) '^pg_'
    AND nspname OPERATOR(pg_catalog.<>) 'information_schema'
    AND (relispopulated OR relkind OPERATOR(pg_catalog.<>) 'm');
