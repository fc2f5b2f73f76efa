-- How many large objects are there in this database that weren't there at the baseline, and whose?
--
-- One row per owner. Only their contents are private, not that they are there. Those of before are told by who wrote
-- their row of the catalog, as rows of tables are (leaks.baseline.unseen); one that got another owner or
-- privileges since counts as new.
-- Parameters, NULL without a baseline: oldest, the first transaction that wasn't visible to it; span, how many later
-- ones began before it; firsts and lasts, ranges of those that it didn't see, from `oldest` on.
SELECT 'of ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(lomowner) AS name,
       pg_catalog.concat(
           pg_catalog.count(*),
           CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) 1 THEN ' large object: '
                ELSE ' large objects: ' END,
           pg_catalog.array_to_string((pg_catalog.array_agg(oid::pg_catalog.text ORDER BY oid))[1:5], ', '),
           CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>) 5 THEN ', …' END
       ) AS detail
FROM (
    SELECT oid, lomowner, xmin::pg_catalog.text::bigint AS writer,
           (xmin::pg_catalog.text::bigint OPERATOR(pg_catalog.-) %(oldest)s::bigint)
               OPERATOR(pg_catalog.&) 4294967295 AS distance
    FROM pg_catalog.pg_largeobject_metadata
) AS object
WHERE %(oldest)s::bigint IS NULL
   OR writer OPERATOR(pg_catalog.>) 2
      AND distance OPERATOR(pg_catalog.<) (
          pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::bigint
          OPERATOR(pg_catalog.-) %(oldest)s::bigint
      )
      AND (
          distance OPERATOR(pg_catalog.>=) %(span)s::bigint
          OR EXISTS (
              SELECT
              FROM ROWS FROM (
                  pg_catalog.unnest(%(firsts)s::bigint[]), pg_catalog.unnest(%(lasts)s::bigint[])
              ) AS running (first, last)
              WHERE distance OPERATOR(pg_catalog.>=) first AND distance OPERATOR(pg_catalog.<=) last
          )
      )
GROUP BY lomowner
ORDER BY name;
