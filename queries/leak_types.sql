-- Which types of columns hold strings, and where inside of them?
--
-- One row a type that any column has, and a place in it. `steps` leads there from the outside, through
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
        ON refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
        AND refobjid = pg_extension.oid
        AND classid = 'pg_catalog.pg_type'::pg_catalog.regclass
        AND deptype = 'e'
    WHERE extname IN ('citext', 'hstore', 'ltree')
), leaf_type AS MATERIALIZED (
    SELECT pg_type.oid, typname,
           CASE
               -- "char" holds one byte; to a server before 15 it is a string type.
               WHEN pg_type.oid = 18 THEN NULL
               WHEN pg_type.oid = 114 THEN 'json'
               WHEN pg_type.oid = 3802 THEN 'jsonb'
               -- refcursor
               WHEN pg_type.oid = 1790 THEN 'output'
               -- bytea, xml, tsvector, tsquery, jsonpath
               WHEN pg_type.oid IN (17, 142, 3614, 3615, 4072) THEN 'unread'
               WHEN typcategory = 'S' AND (nspname = 'pg_catalog' OR extname = 'citext') THEN 'string'
               WHEN typcategory = 'S' THEN 'cast'
               WHEN extname = 'hstore' AND typname = 'hstore' THEN 'hstore'
               WHEN extname = 'ltree' AND typname = 'ltree' THEN 'ltree'
               WHEN extname = 'ltree' AND typname IN ('lquery', 'ltxtquery') THEN 'unread'
           END AS leaf
    FROM pg_catalog.pg_type
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = typnamespace
    LEFT JOIN extension_type ON extension_type.oid = pg_type.oid
    WHERE typtype = 'b'
        AND (typcategory = 'S' OR extname IS NOT NULL
            OR pg_type.oid IN (17, 114, 142, 1790, 3614, 3615, 3802, 4072))
), part AS (
    SELECT DISTINCT atttypid AS type, atttypid AS oid, '{}'::pg_catalog.text[] AS steps,
           '{}'::int[] AS fields, '{}'::int[] AS places, ARRAY[atttypid] AS types
    FROM pg_catalog.pg_attribute
    WHERE attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT part.type, inner_part.oid, part.steps || inner_part.steps, part.fields || inner_part.fields,
           part.places || inner_part.place,
           CASE WHEN inner_part.steps = '{}' THEN part.types ELSE part.types || inner_part.oid END
    FROM part
    CROSS JOIN LATERAL (
        SELECT typbasetype AS oid, '{}'::pg_catalog.text[] AS steps, '{}'::int[] AS fields, 0 AS place
        FROM pg_catalog.pg_type
        WHERE oid = part.oid AND typtype = 'd'
        UNION ALL
        -- The others that have a typelem (name, point, ...) are no arrays.
        SELECT element.oid, '{element}', '{NULL}', 0
        FROM pg_catalog.pg_type AS list
        JOIN pg_catalog.pg_type AS element ON element.oid = list.typelem AND element.typarray = list.oid
        WHERE list.oid = part.oid
        UNION ALL
        SELECT atttypid, '{field}', ARRAY[(
                   SELECT pg_catalog.count(*)::int
                   FROM pg_catalog.pg_attribute AS before
                   WHERE before.attrelid = typrelid AND before.attnum BETWEEN 1 AND pg_attribute.attnum
                       AND NOT before.attisdropped
               )], attnum
        FROM pg_catalog.pg_type
        JOIN pg_catalog.pg_attribute ON attrelid = typrelid AND attnum > 0 AND NOT attisdropped
        WHERE pg_type.oid = part.oid AND typtype = 'c'
        UNION ALL
        SELECT rngsubtype, ARRAY[bound], '{NULL}', place
        FROM range_type
        CROSS JOIN (VALUES (1, 'lower'), (2, 'upper')) AS end_of(place, bound)
        WHERE rngtypid = part.oid
        UNION ALL
        SELECT rngtypid, '{element}', '{NULL}', 0 FROM range_type WHERE rngmultitypid = part.oid
    ) AS inner_part
)
SELECT type::bigint AS type, steps, fields, types::bigint[] AS types, leaf, typname AS name
FROM part
JOIN leaf_type ON leaf_type.oid = part.oid
WHERE leaf IS NOT NULL
ORDER BY type, places;
