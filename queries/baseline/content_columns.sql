-- Which columns do the rows of each table consist of, and which of them are its primary key?
--
-- Also by which name. Without what a virtual generated column (18) computes. `readable` is whether all of them may be read, `types` are
-- spelled out. Tables and partition roots only, in all schemas but the server's own.
SELECT attrelid::bigint AS oid,
       nspname AS schema,
       relname AS table,
       pg_catalog.array_agg(attname ORDER BY attnum) AS columns,
       pg_catalog.array_agg(pg_catalog.format_type(atttypid, atttypmod) ORDER BY attnum) AS types,
       pg_catalog.bool_and(
           coalesce(pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT'), false)
       ) AS readable,
       ARRAY(
           SELECT part.attname
           FROM pg_catalog.pg_index
           CROSS JOIN LATERAL pg_catalog.unnest(indkey::smallint[]) WITH ORDINALITY AS key (number, place)
           JOIN pg_catalog.pg_attribute AS part ON part.attrelid OPERATOR(pg_catalog.=) indrelid
               AND part.attnum OPERATOR(pg_catalog.=) key.number
           WHERE indrelid OPERATOR(pg_catalog.=) attribute.attrelid
               AND indisprimary
               AND place OPERATOR(pg_catalog.<=) indnkeyatts
           ORDER BY place
       ) AS key
FROM pg_catalog.pg_attribute AS attribute
JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) attrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p}')
    AND relpersistence OPERATOR(pg_catalog.<>) 't'
    AND attnum OPERATOR(pg_catalog.>) 0
    AND NOT attisdropped
    AND attgenerated OPERATOR(pg_catalog.<>) 'v'
    AND nspname OPERATOR(pg_catalog.!~) '^pg_'
    AND nspname OPERATOR(pg_catalog.<>) ALL ('{information_schema,pgwatch_tests}')
GROUP BY attrelid, nspname, relname;
