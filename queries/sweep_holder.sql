-- Who sweeps this database: which other session holds the advisory lock of a sweep?
--
-- Parameter: lock_key.
SELECT lock.pid,
       coalesce(activity.application_name, '') AS application_name,
       pg_catalog.pg_get_userbyid(activity.usesysid) AS role,
       coalesce(host(activity.client_addr), 'a local socket') AS client,
       extract(epoch FROM clock_timestamp() - activity.backend_start)::float8 AS age_s
FROM pg_catalog.pg_lock_status() AS lock
LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(lock.pid) AS activity ON true
WHERE lock.locktype = 'advisory'
  AND lock.granted
  AND lock.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  -- A bigint key: classid holds its upper half, objid the lower one (src/include/storage/lock.h).
  AND lock.objsubid = 1
  AND (lock.classid::bigint << 32) + lock.objid::bigint = %(lock_key)s::bigint
  AND lock.pid <> pg_catalog.pg_backend_pid();
