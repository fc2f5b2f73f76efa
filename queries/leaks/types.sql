-- Which types of columns hold strings, and where inside of them?
--
-- One row per type of those `used` (by oid), and a place in it. `steps` leads there from the outside, through
-- domains, which take no step: 'element' of an array or a multirange, 'field' of a composite (in `fields`, which
-- of those that aren't dropped: 1 is the first), 'lower' and 'upper' bound of a range. `types` are the types (by
-- oid) as an expression has them, before each step and at the end. `leaf` is what is there: 'string', 'cast'
-- (a string type of one's own: only a cast tells its text), 'output' (what it prints is its text), 'json', 'jsonb', 'hstore', 'ltree', or 'unread', of the type called `name`: text is in it in a form that
-- markers aren't looked for. Labels of enums aren't strings.
WITH RECURSIVE before_14 AS (
    -- `rngmultitypid` came with 14: where pg_range has none, the name finds this one.
    SELECT NULL::pg_catalog.oid AS rngmultitypid
), range_type AS MATERIALIZED (
    SELECT range.*
    FROM before_14
    CROSS JOIN LATERAL (SELECT rngtypid, rngsubtype, rngmultitypid FROM pg_catalog.pg_range) AS range
), extension_type AS MATERIALIZED (
    SELECT objid AS oid, extname
    FROM pg_catalog.pg_extension
    JOIN pg_catalog.pg_depend
        ON refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
        AND refobjid OPERATOR(pg_catalog.=) pg_extension.oid
        AND classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
        AND deptype OPERATOR(pg_catalog.=) 'e'
    WHERE extname OPERATOR(pg_catalog.=) ANY ('{citext,hstore,ltree}')
), leaf_type AS MATERIALIZED (
    SELECT pg_type.oid, typname,
           CASE
               -- "char" holds one byte; to a server before 15 it is a string type.
               WHEN pg_type.oid OPERATOR(pg_catalog.=) 18 THEN NULL
               WHEN pg_type.oid OPERATOR(pg_catalog.=) 114 THEN 'json'
               WHEN pg_type.oid OPERATOR(pg_catalog.=) 3802 THEN 'jsonb'
               -- refcursor
               WHEN pg_type.oid OPERATOR(pg_catalog.=) 1790 THEN 'output'
               -- bytea, xml, tsvector, tsquery, jsonpath
               WHEN pg_type.oid OPERATOR(pg_catalog.=) ANY ('{17,142,3614,3615,4072}') THEN 'unread'
               WHEN typcategory OPERATOR(pg_catalog.=) 'S'
                   AND (nspname OPERATOR(pg_catalog.=) 'pg_catalog' OR extname OPERATOR(pg_catalog.=) 'citext')
                   THEN 'string'
               WHEN typcategory OPERATOR(pg_catalog.=) 'S' THEN 'cast'
               WHEN extname OPERATOR(pg_catalog.=) 'hstore' AND typname OPERATOR(pg_catalog.=) 'hstore'
                   THEN 'hstore'
               WHEN extname OPERATOR(pg_catalog.=) 'ltree' AND typname OPERATOR(pg_catalog.=) 'ltree'
                   THEN 'ltree'
               WHEN extname OPERATOR(pg_catalog.=) 'ltree'
                   AND typname OPERATOR(pg_catalog.=) ANY ('{lquery,ltxtquery}')
                   THEN 'unread'
           END AS leaf
    FROM pg_catalog.pg_type
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) typnamespace
    LEFT JOIN extension_type ON extension_type.oid OPERATOR(pg_catalog.=) pg_type.oid
    WHERE typtype OPERATOR(pg_catalog.=) 'b'
        AND (typcategory OPERATOR(pg_catalog.=) 'S' OR extname IS NOT NULL
            OR pg_type.oid OPERATOR(pg_catalog.=) ANY ('{17,114,142,1790,3614,3615,3802,4072}'))
), part AS (
    -- As they were read: by now, no column may be of such a type any more.
    SELECT one AS type, one AS oid, '{}'::pg_catalog.text[] AS steps,
           '{}'::int[] AS fields, '{}'::int[] AS places, ARRAY[one] AS types
    FROM pg_catalog.unnest(%(used)s::pg_catalog.oid[]) AS used (one)
    UNION ALL
    SELECT part.type, inner_part.oid, part.steps OPERATOR(pg_catalog.||) inner_part.steps,
           part.fields OPERATOR(pg_catalog.||) inner_part.fields,
           part.places OPERATOR(pg_catalog.||) inner_part.place,
           CASE
               WHEN inner_part.steps OPERATOR(pg_catalog.=) '{}' THEN part.types
               ELSE part.types OPERATOR(pg_catalog.||) inner_part.oid END
    FROM part
    CROSS JOIN LATERAL (
        SELECT typbasetype AS oid, '{}'::pg_catalog.text[] AS steps, '{}'::int[] AS fields, 0 AS place
        FROM pg_catalog.pg_type
        WHERE oid OPERATOR(pg_catalog.=) part.oid AND typtype OPERATOR(pg_catalog.=) 'd'
        UNION ALL
        -- The others that have a typelem (name, point, ...) are no arrays.
        SELECT element.oid, '{element}', '{NULL}', 0
        FROM pg_catalog.pg_type AS list
        JOIN pg_catalog.pg_type AS element ON element.oid OPERATOR(pg_catalog.=) list.typelem
            AND element.typarray OPERATOR(pg_catalog.=) list.oid
        WHERE list.oid OPERATOR(pg_catalog.=) part.oid
        UNION ALL
        SELECT atttypid, '{field}', ARRAY[(
                   SELECT pg_catalog.count(*)::int
                   FROM pg_catalog.pg_attribute AS before
                   WHERE before.attrelid OPERATOR(pg_catalog.=) typrelid
                       AND before.attnum OPERATOR(pg_catalog.>=) 1
                       AND before.attnum OPERATOR(pg_catalog.<=) pg_attribute.attnum
                       AND NOT before.attisdropped
               )], attnum
        FROM pg_catalog.pg_type
        JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) typrelid
            AND attnum OPERATOR(pg_catalog.>) 0
            AND NOT attisdropped
        WHERE pg_type.oid OPERATOR(pg_catalog.=) part.oid AND typtype OPERATOR(pg_catalog.=) 'c'
        UNION ALL
        SELECT rngsubtype, ARRAY[bound], '{NULL}', place
        FROM range_type
        CROSS JOIN (VALUES (1, 'lower'), (2, 'upper')) AS end_of(place, bound)
        WHERE rngtypid OPERATOR(pg_catalog.=) part.oid
        UNION ALL
        SELECT rngtypid, '{element}', '{NULL}', 0
        FROM range_type
        WHERE rngmultitypid OPERATOR(pg_catalog.=) part.oid
    ) AS inner_part
)
SELECT type::bigint AS type, steps, fields, types::bigint[] AS types, leaf, typname AS name
FROM part
JOIN leaf_type ON leaf_type.oid OPERATOR(pg_catalog.=) part.oid
WHERE leaf IS NOT NULL
ORDER BY type, places;
