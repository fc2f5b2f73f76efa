-- Which columns do the rows of each table consist of, and which of them are its primary key?
--
-- Also by which name. Without what a virtual generated column (18) computes. `readable` is whether all of them may be read, `types` are
-- spelled out. Tables and partition roots only, in all schemas but the server's own.
SELECT attrelid::bigint AS oid,
       nspname AS schema,
       relname AS table,
       pg_catalog.array_agg(attname ORDER BY attnum) AS columns,
       pg_catalog.array_agg(pg_catalog.format_type(atttypid, atttypmod) ORDER BY attnum) AS types,
       pg_catalog.bool_and(coalesce(pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT'), false)) AS readable,
       ARRAY(
           SELECT part.attname
           FROM pg_catalog.pg_index
           CROSS JOIN LATERAL unnest(indkey::smallint[]) WITH ORDINALITY AS key (number, place)
           JOIN pg_catalog.pg_attribute AS part ON part.attrelid = indrelid AND part.attnum = key.number
           WHERE indrelid = attribute.attrelid AND indisprimary AND place <= indnkeyatts
           ORDER BY place
       ) AS key
FROM pg_catalog.pg_attribute AS attribute
JOIN pg_catalog.pg_class ON pg_class.oid = attrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p')
    AND relpersistence <> 't'
    AND attnum > 0
    AND NOT attisdropped
    AND attgenerated <> 'v'
    AND nspname !~ '^pg_'
    AND nspname NOT IN ('information_schema', 'pgwatch_tests')
GROUP BY attrelid, nspname, relname;
