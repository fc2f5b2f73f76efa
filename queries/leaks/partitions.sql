-- Which tables are read through the root of a partition tree, and how large are they?
--
-- One row per partition, at any level, with the table right above it.
WITH before_14 AS (
    -- `inhdetachpending` came with 14: where pg_inherits has none, the name finds this one.
    SELECT false AS inhdetachpending
)
SELECT oid, parent, is_foreign, pages, indexes, xmin, filenode, others
FROM before_14
CROSS JOIN LATERAL (
    SELECT inhrelid::bigint AS oid,
           inhparent::bigint AS parent,
           relkind OPERATOR(pg_catalog.=) 'f' AS is_foreign,
           -- Before the first vacuum, a guess from the rows that were counted on the way in.
           (CASE WHEN relpages OPERATOR(pg_catalog.>) 0 THEN relpages
                 ELSE pg_catalog.pg_stat_get_live_tuples(inhrelid)
                     OPERATOR(pg_catalog./) 100 END)::bigint AS pages,
           (SELECT pg_catalog.count(*)
               FROM pg_catalog.pg_index
               WHERE indrelid OPERATOR(pg_catalog.=) inhrelid) AS indexes,
           pg_class.xmin::pg_catalog.text::bigint AS xmin,
           relfilenode::bigint AS filenode,
           -- By which transaction, and to which table, it was attached.
           pg_catalog.concat_ws(' ', inhrelid, inhparent, pg_inherits.xmin) AS others,
           inhdetachpending
    FROM pg_catalog.pg_inherits
    JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) inhrelid
        AND relispartition
        AND relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f}')
) AS link
-- A partition whose DETACH CONCURRENTLY was cut off isn't read through its root any more.
WHERE NOT link.inhdetachpending;
