-- Which other databases are there, whose are they, and is somebody connected to them?
--
-- Templates left out. `age_s`: since the milliseconds in the name, NULL without. Which of them are tests' is
-- decided by their names. `connected`: the first three sessions, as [pid, application_name, user, client,
-- state, seconds in that state]; NULL without. One whose owner lives, and holds its lease (postgres.leases: an advisory lock of any
-- database), isn't left over.
WITH session AS (
    SELECT datid, pg_catalog.count(*) AS number,
           pg_catalog.json_agg(
               pg_catalog.json_build_array(
                   pid, application_name, pg_catalog.pg_get_userbyid(usesysid),
                   CASE
                       WHEN client_port OPERATOR(pg_catalog.=) (-1) THEN 'local'
                       ELSE client_addr::pg_catalog.text OPERATOR(pg_catalog.||) ':'
                           OPERATOR(pg_catalog.||) client_port END,
                   coalesce(
                       state,
                       CASE WHEN backend_type OPERATOR(pg_catalog.<>) 'client backend' THEN backend_type END
                   ),
                   extract(epoch FROM
                       pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) state_change
                   )::pg_catalog.float8
               ) ORDER BY place
           ) FILTER (WHERE place OPERATOR(pg_catalog.<=) 3) AS connected
    FROM (
        SELECT *, pg_catalog.row_number() OVER (PARTITION BY datid ORDER BY pid) AS place
        FROM pg_catalog.pg_stat_get_activity(NULL)
    ) AS activity
    GROUP BY datid
)
SELECT datname AS name,
       pg_catalog.concat_ws(
           ', ',
           CASE
               WHEN coalesce(number, 0) OPERATOR(pg_catalog.=) 0 THEN 'nobody connected'
               WHEN coalesce(number, 0) OPERATOR(pg_catalog.=) 1 THEN '1 session'
               ELSE number OPERATOR(pg_catalog.||) ' sessions'
           END,
           'owner ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(datdba)
       ) AS detail,
       connected,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8
           OPERATOR(pg_catalog.-) (
               substring(datname::pg_catalog.text FROM '[_-](1[0-9]{12})(?![0-9A-Za-z])')::pg_catalog.float8
               OPERATOR(pg_catalog./) 1000
           ) AS age_s
FROM pg_catalog.pg_database
LEFT JOIN session ON session.datid OPERATOR(pg_catalog.=) pg_database.oid
WHERE NOT datistemplate AND datname OPERATOR(pg_catalog.<>) pg_catalog.current_database()
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lease
      WHERE lease.locktype OPERATOR(pg_catalog.=) 'advisory' AND lease.granted
        AND lease.classid OPERATOR(pg_catalog.=) 1885828980 AND lease.objsubid OPERATOR(pg_catalog.=) 2
        AND lease.objid::bigint
            OPERATOR(pg_catalog.=) (pg_catalog.hashtext(datname::pg_catalog.text COLLATE pg_catalog."C")::bigint
                OPERATOR(pg_catalog.&) 4294967295)
  )
  -- A failed test's, kept until a time that is yet to come (testing.isolation.kept_places).
  AND ((substring(
          pg_catalog.shobj_description(pg_database.oid, 'pg_database')
          FROM '^pgwatch-tests: kept until ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)$'
      ) COLLATE pg_catalog."C")
      OPERATOR(pg_catalog.>) pg_catalog.to_char(
          pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
      )) IS NOT TRUE
ORDER BY datname;
