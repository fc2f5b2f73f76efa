-- How many large objects are there in this database that weren't there at the baseline, and whose?
--
-- One row an owner. Only their contents are private, not that they are there. Those of before are told by who wrote
-- their row of the catalog, as rows of tables are (leaks.baseline.unseen); one that got another owner or
-- privileges since counts as new.
-- Parameters, NULL without a baseline: oldest, the first transaction that wasn't visible to it; span, how many later
-- ones began before it; firsts and lasts, ranges of those that it didn't see, from `oldest` on.
SELECT 'of ' || pg_catalog.pg_get_userbyid(lomowner) AS name,
       count(*) || CASE count(*) WHEN 1 THEN ' large object: ' ELSE ' large objects: ' END
           || array_to_string((array_agg(oid::text ORDER BY oid))[1:5], ', ')
           || CASE WHEN count(*) > 5 THEN ', …' ELSE '' END AS detail
FROM (
    SELECT oid, lomowner, xmin::text::bigint AS writer,
           (xmin::text::bigint - %(oldest)s::bigint) & 4294967295 AS distance
    FROM pg_catalog.pg_largeobject_metadata
) AS object
WHERE %(oldest)s::bigint IS NULL
   OR writer > 2
      AND distance < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint - %(oldest)s::bigint
      AND (
          distance >= %(span)s::bigint
          OR EXISTS (
              SELECT FROM unnest(%(firsts)s::bigint[], %(lasts)s::bigint[]) AS running (first, last)
              WHERE distance BETWEEN first AND last
          )
      )
GROUP BY lomowner
ORDER BY name;
