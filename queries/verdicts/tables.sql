-- What are these tables called, by what are their rows known, and may they be read?
--
-- A partition bears the name of its root. `strings` are columns of text, in which tokens may be; `created` is the
-- column created_at, if it is a point in time; `generated` the key's column that a sequence fills, with that. `born` is
-- the transaction that made the table: the row of a system column is written once.
SELECT pg_class.oid::bigint AS oid,
       pg_namespace.nspname AS schema,
       pg_class.relname AS table,
       root_namespace.nspname AS root_schema,
       root.relname AS root_table,
       root.oid::bigint AS root_oid,
       coalesce(keys.columns, '{}'::pg_catalog.name[]) AS keys,
       coalesce(parts.strings, '{}'::pg_catalog.name[]) AS strings,
       parts.created AS created,
       generated.attname AS generated,
       generated.sequence_schema AS sequence_schema,
       generated.sequence AS sequence,
       born.xmin::pg_catalog.text::bigint AS born,
       pg_catalog.has_schema_privilege(pg_class.relnamespace, 'USAGE')
           AND pg_catalog.has_table_privilege(pg_class.oid, 'SELECT') AS readable,
       pg_catalog.row_security_active(pg_class.oid) AS row_security
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) pg_class.relnamespace
JOIN pg_catalog.pg_class AS root
    ON root.oid OPERATOR(pg_catalog.=) coalesce(pg_catalog.pg_partition_root(pg_class.oid)::pg_catalog.oid, pg_class.oid)
JOIN pg_catalog.pg_attribute AS born
    ON born.attrelid OPERATOR(pg_catalog.=) pg_class.oid AND born.attnum OPERATOR(pg_catalog.=) (-1)
JOIN pg_catalog.pg_namespace AS root_namespace
    ON root_namespace.oid OPERATOR(pg_catalog.=) root.relnamespace
LEFT JOIN LATERAL (
    SELECT pg_catalog.array_agg(attname ORDER BY place) AS columns,
           pg_catalog.min(attnum) AS number,
           pg_catalog.count(*) AS size
    FROM pg_catalog.pg_index
    CROSS JOIN LATERAL pg_catalog.unnest(indkey::smallint[]) WITH ORDINALITY AS part (number, place)
    JOIN pg_catalog.pg_attribute
        ON attrelid OPERATOR(pg_catalog.=) indrelid AND attnum OPERATOR(pg_catalog.=) part.number
    WHERE indisprimary AND indrelid OPERATOR(pg_catalog.=) pg_class.oid AND place OPERATOR(pg_catalog.<=) indnkeyatts
) AS keys ON true
LEFT JOIN LATERAL (
    SELECT pg_catalog.array_agg(attname ORDER BY attnum)
               FILTER (WHERE atttypid OPERATOR(pg_catalog.=) ANY ('{25,1043,1042}'::pg_catalog.oid[])) AS strings,
           (pg_catalog.array_agg(attname) FILTER (
               WHERE attname OPERATOR(pg_catalog.=) 'created_at' AND atttypid OPERATOR(pg_catalog.=) 1184
           ))[1] AS created
    FROM pg_catalog.pg_attribute
    WHERE attrelid OPERATOR(pg_catalog.=) pg_class.oid AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped
) AS parts ON true
LEFT JOIN LATERAL (
    SELECT attname, sequence_namespace.nspname AS sequence_schema, sequence.relname AS sequence
    FROM pg_catalog.pg_depend
    JOIN pg_catalog.pg_class AS sequence
        ON sequence.oid OPERATOR(pg_catalog.=) objid AND sequence.relkind OPERATOR(pg_catalog.=) 'S'
    JOIN pg_catalog.pg_namespace AS sequence_namespace
        ON sequence_namespace.oid OPERATOR(pg_catalog.=) sequence.relnamespace
    JOIN pg_catalog.pg_attribute
        ON attrelid OPERATOR(pg_catalog.=) refobjid AND attnum OPERATOR(pg_catalog.=) refobjsubid
    WHERE classid OPERATOR(pg_catalog.=) 1259 AND refclassid OPERATOR(pg_catalog.=) 1259
        AND refobjid OPERATOR(pg_catalog.=) pg_class.oid
        AND deptype OPERATOR(pg_catalog.=) ANY ('{a,i}')
        AND keys.size OPERATOR(pg_catalog.=) 1 AND refobjsubid OPERATOR(pg_catalog.=) keys.number
        AND atttypid OPERATOR(pg_catalog.=) ANY ('{20,21,23}'::pg_catalog.oid[])
    LIMIT 1
) AS generated ON true
WHERE pg_class.oid OPERATOR(pg_catalog.=) ANY (%(oids)s::pg_catalog.oid[]);
