-- Which other databases are there, whose are they, and is somebody connected to them?
--
-- Templates left out. `age_s`: since the milliseconds in the name, NULL without. Which of them are tests' is
-- decided by their names. `connected`: the first three sessions, as [pid, application_name, user, client,
-- state, seconds in that state]; NULL without. One whose owner lives, and holds its lease (sweep.leases: an advisory lock of any
-- database), isn't left over.
WITH session AS (
    SELECT datid, count(*) AS number,
           json_agg(
               json_build_array(
                   pid, application_name, pg_catalog.pg_get_userbyid(usesysid),
                   CASE WHEN client_port = -1 THEN 'local' ELSE client_addr::text || ':' || client_port END,
                   coalesce(state, CASE WHEN backend_type <> 'client backend' THEN backend_type END),
                   extract(epoch FROM clock_timestamp() - state_change)::float8
               ) ORDER BY place
           ) FILTER (WHERE place <= 3) AS connected
    FROM (
        SELECT *, row_number() OVER (PARTITION BY datid ORDER BY pid) AS place
        FROM pg_catalog.pg_stat_get_activity(NULL)
    ) AS activity
    GROUP BY datid
)
SELECT datname AS name,
       concat_ws(
           ', ',
           CASE coalesce(number, 0)
               WHEN 0 THEN 'nobody connected'
               WHEN 1 THEN '1 session'
               ELSE number || ' sessions'
           END,
           'owner ' || pg_catalog.pg_get_userbyid(datdba)
       ) AS detail,
       connected,
       extract(epoch FROM clock_timestamp())::float8
           - substring(datname::text FROM '[_-](1[0-9]{12})(?![0-9A-Za-z])')::float8 / 1000 AS age_s
FROM pg_catalog.pg_database
LEFT JOIN session ON session.datid = pg_database.oid
WHERE NOT datistemplate AND datname <> pg_catalog.current_database()
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lease
      WHERE lease.locktype = 'advisory' AND lease.granted
        AND lease.classid = 1885828980 AND lease.objsubid = 2
        AND lease.objid::bigint = pg_catalog.hashtext(datname::text COLLATE "C")::bigint & 4294967295
  )
ORDER BY datname;
