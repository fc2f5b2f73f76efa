-- Which schemas are there in this database, whose are they, and how much is in them?
--
-- `age_s`: since the milliseconds in the name (`test_1717171717171_4711_x7f3`); without, since the schema
-- itself was created or altered; NULL if commits have no times. Which of them are tests' is decided by the
-- patterns of the settings. One whose owner lives, and holds its lease
-- (postgres.leases: an advisory lock of any database), isn't left over.
WITH content AS (
    SELECT relnamespace, pg_catalog.count(*) AS relations
    FROM pg_catalog.pg_class
    WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}')
    GROUP BY relnamespace
)
SELECT nspname AS name,
       pg_catalog.concat_ws(
           ', ',
           CASE
               WHEN relations OPERATOR(pg_catalog.=) 1 THEN '1 relation'
               ELSE coalesce(relations, 0) OPERATOR(pg_catalog.||) ' relations' END,
           'owner ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(nspowner)
       ) AS detail,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8
           OPERATOR(pg_catalog.-) coalesce(
               substring(nspname::pg_catalog.text FROM '[_-](1[0-9]{12})(?![0-9A-Za-z])')::pg_catalog.float8
                   OPERATOR(pg_catalog./) 1000,
               CASE
                   WHEN pg_catalog.current_setting('track_commit_timestamp') OPERATOR(pg_catalog.=) 'on'
                       THEN extract(epoch FROM
                           pg_catalog.pg_xact_commit_timestamp(pg_namespace.xmin)
                       )::pg_catalog.float8
               END
           ) AS age_s
FROM pg_catalog.pg_namespace
LEFT JOIN content ON relnamespace OPERATOR(pg_catalog.=) pg_namespace.oid
-- pgwatch_tests: our own history of sweeps.
WHERE nspname OPERATOR(pg_catalog.!~) '^pg_'
  AND nspname OPERATOR(pg_catalog.<>) ALL ('{information_schema,pgwatch_tests}')
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lease
      WHERE lease.locktype OPERATOR(pg_catalog.=) 'advisory' AND lease.granted
        AND lease.classid OPERATOR(pg_catalog.=) 1885828980 AND lease.objsubid OPERATOR(pg_catalog.=) 2
        AND lease.objid::bigint
            OPERATOR(pg_catalog.=) (pg_catalog.hashtext(nspname::pg_catalog.text COLLATE pg_catalog."C")::bigint
                OPERATOR(pg_catalog.&) 4294967295)
  )
  -- A failed test's, kept until a time that is yet to come (testing.isolation.kept_places).
  AND ((substring(
          pg_catalog.obj_description(pg_namespace.oid, 'pg_namespace')
          FROM '^pgwatch-tests: kept until ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)$'
      ) COLLATE pg_catalog."C")
      OPERATOR(pg_catalog.>) pg_catalog.to_char(
          pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
      )) IS NOT TRUE
ORDER BY nspname;
