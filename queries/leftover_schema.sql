-- Which schemas are there in this database, whose are they, and how much is in them?
--
-- `age_s`: since the milliseconds in the name (`test_1717171717171_4711_x7f3`), NULL without. Which of them
-- are tests' is decided by the patterns of the settings. One whose owner lives, and holds its lease
-- (sweep.leases: an advisory lock of any database), isn't left over.
WITH content AS (
    SELECT relnamespace, count(*) AS relations
    FROM pg_catalog.pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    GROUP BY relnamespace
)
SELECT nspname AS name,
       concat_ws(
           ', ',
           CASE relations WHEN 1 THEN '1 relation' ELSE coalesce(relations, 0) || ' relations' END,
           'owner ' || pg_catalog.pg_get_userbyid(nspowner)
       ) AS detail,
       extract(epoch FROM clock_timestamp())::float8
           - substring(nspname::text FROM '[_-](1[0-9]{12})(?![0-9A-Za-z])')::float8 / 1000 AS age_s
FROM pg_catalog.pg_namespace
LEFT JOIN content ON relnamespace = pg_namespace.oid
-- pgwatch_tests: our own history of sweeps.
WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'pgwatch_tests')
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lease
      WHERE lease.locktype = 'advisory' AND lease.granted
        AND lease.classid = 1885828980 AND lease.objsubid = 2
        AND lease.objid::bigint = pg_catalog.hashtext(nspname::text COLLATE "C")::bigint & 4294967295
  )
ORDER BY nspname;
