-- Which tables can hold markers, in which of their columns, and what forbids reading them?
--
-- One row a table that has columns of the `types` (by oid) that hold strings: ordinary tables, roots of
-- partition trees, populated materialised views and foreign tables, in all schemas but the server's
-- own. Catalogs and functions that use nothing else: no lock on any of these tables is needed.
WITH RECURSIVE string_type AS MATERIALIZED (
    SELECT pg_catalog.unnest(%(types)s::oid[]) AS oid
), index_count AS MATERIALIZED (
    SELECT indrelid, count(*) AS indexes FROM pg_catalog.pg_index GROUP BY indrelid
), before_14 AS (
    -- `inhdetachpending` came with 14: where pg_inherits has none, the name finds this one.
    SELECT false AS inhdetachpending
), attached AS MATERIALIZED (
    -- A partition whose DETACH CONCURRENTLY was cut off isn't read through its root any more.
    SELECT link.*
    FROM before_14
    CROSS JOIN LATERAL (
        SELECT inhrelid AS oid, inhparent AS parent, relkind = 'f' AS is_foreign,
               CASE WHEN relpages > 0 THEN relpages
                    ELSE pg_catalog.pg_stat_get_live_tuples(inhrelid) / 100 END AS pages,
               coalesce(indexes, 0) AS indexes, inhdetachpending
        FROM pg_catalog.pg_inherits
        JOIN pg_catalog.pg_class ON pg_class.oid = inhrelid AND relispartition AND relkind IN ('r', 'p', 'f')
        LEFT JOIN index_count ON indrelid = inhrelid
    ) AS link
    WHERE NOT link.inhdetachpending
), climbed AS (
    SELECT oid, is_foreign, pages, indexes, parent AS above FROM attached
    UNION ALL
    SELECT climbed.oid, climbed.is_foreign, climbed.pages, climbed.indexes, attached.parent
    FROM climbed
    JOIN attached ON attached.oid = climbed.above
), below AS (
    SELECT above, count(*) AS partitions, sum(pages) AS pages, sum(indexes) AS indexes,
           bool_or(is_foreign) AS has_foreign
    FROM climbed
    GROUP BY above
), relation AS MATERIALIZED (
    SELECT pg_class.oid, nspname, relname, relkind, relowner, relforcerowsecurity,
           -- Before the first vacuum, a guess from the rows that were counted on the way in.
           CASE WHEN relpages > 0 THEN relpages
                ELSE pg_catalog.pg_stat_get_live_tuples(pg_class.oid) / 100 END AS pages,
           pg_catalog.has_schema_privilege(relnamespace, 'USAGE') AS schema_usage
    FROM pg_catalog.pg_class
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'm', 'f')
        AND relpersistence <> 't'
        AND nspname !~ '^pg_'
        AND nspname <> 'information_schema'
        AND (relispopulated OR relkind <> 'm')
        AND NOT (relispartition AND EXISTS (SELECT FROM attached WHERE attached.oid = pg_class.oid))
)
SELECT relation.oid::bigint AS oid,
       nspname AS schema,
       relname AS table,
       relkind::text AS kind,
       columns,
       types,
       readable,
       coalesce(has_created_at, false) AS has_created_at,
       schema_usage,
       -- NULL if the table is gone by now.
       coalesce(pg_catalog.row_security_active(relation.oid), false) AS row_security,
       relforcerowsecurity AS owner_too,
       pg_catalog.pg_get_userbyid(relowner) AS owner,
       coalesce(has_foreign, false) AS has_foreign_partition,
       (1 + coalesce(partitions, 0))::bigint AS relations,
       (coalesce(relation.pages, 0) + coalesce(below.pages, 0))::bigint AS pages,
       (coalesce(index_count.indexes, 0) + coalesce(below.indexes, 0))::bigint AS indexes
FROM relation
LEFT JOIN below ON below.above = relation.oid AND relkind = 'p'
LEFT JOIN index_count ON index_count.indrelid = relation.oid
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(attname) FILTER (WHERE is_string) AS columns,
           pg_catalog.array_agg(atttypid::bigint) FILTER (WHERE is_string) AS types,
           pg_catalog.array_agg(can_read) FILTER (WHERE is_string) AS readable,
           pg_catalog.bool_or(can_read AND NOT is_string) AS has_created_at
    FROM (
        SELECT attname, atttypid, is_string,
               -- NULL if the table or the column is gone by now.
               coalesce(pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT'), true) AS can_read
        FROM (
            SELECT attrelid, attnum, attname, atttypid,
                   atttypid IN (SELECT oid FROM string_type) AS is_string
            FROM pg_catalog.pg_attribute
            WHERE attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
        ) AS attribute
        -- timestamp, timestamptz
        WHERE is_string OR (attname = 'created_at' AND atttypid IN (1114, 1184))
        ORDER BY attnum
    ) AS wanted
) AS found
WHERE columns IS NOT NULL
ORDER BY nspname, relname;
