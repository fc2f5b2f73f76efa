-- Who sweeps this database: which other session holds the advisory lock of a sweep?
--
-- Parameter: lock_key.
SELECT lock.pid,
       coalesce(activity.application_name, '') AS application_name,
       pg_catalog.pg_get_userbyid(activity.usesysid) AS role,
       coalesce(pg_catalog.host(activity.client_addr), 'a local socket') AS client,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) activity.backend_start
       )::pg_catalog.float8 AS age_s
FROM pg_catalog.pg_lock_status() AS lock
LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(lock.pid) AS activity ON true
WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
  AND lock.granted
  AND lock.database OPERATOR(pg_catalog.=) (
      SELECT oid
      FROM pg_catalog.pg_database
      WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  )
  -- A bigint key: classid holds its upper half, objid the lower one (src/include/storage/lock.h).
  AND lock.objsubid OPERATOR(pg_catalog.=) 1
  AND (lock.classid::bigint OPERATOR(pg_catalog.<<) 32) OPERATOR(pg_catalog.+) lock.objid::bigint
      OPERATOR(pg_catalog.=) %(lock_key)s::bigint
  AND lock.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid();
