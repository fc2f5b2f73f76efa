-- By which columns are rows of tables told apart?
--
-- The primary key's, if its values may be shown as text.
SELECT conrelid::pg_catalog.int8 AS oid,
       ARRAY(
           SELECT attname
           FROM pg_catalog.unnest(conkey) WITH ORDINALITY AS part (number, place)
           JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) conrelid
               AND attnum OPERATOR(pg_catalog.=) part.number
           ORDER BY place
       ) AS columns
FROM pg_catalog.pg_constraint
WHERE contype OPERATOR(pg_catalog.=) 'p'
    AND conrelid OPERATOR(pg_catalog.=) ANY (%(oids)s::pg_catalog.int8[]::pg_catalog.oid[])
    -- Another type's text may be made by anybody's function.
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid OPERATOR(pg_catalog.=) conrelid
            AND attnum OPERATOR(pg_catalog.=) ANY (conkey)
            AND atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    );
