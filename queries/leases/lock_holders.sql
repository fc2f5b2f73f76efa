-- Who holds a named lock of this database, or queues for it?
--
-- Parameters: lease_key, name.
SELECT lock.pid, coalesce(session.application_name, '') AS application_name, lock.mode, lock.granted
FROM pg_catalog.pg_lock_status() AS lock
LEFT JOIN pg_catalog.pg_stat_get_activity(NULL) AS session ON session.pid OPERATOR(pg_catalog.=) lock.pid
WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
  AND lock.classid OPERATOR(pg_catalog.=) %(lease_key)s::pg_catalog.oid
  AND lock.objid::bigint
      OPERATOR(pg_catalog.=) (pg_catalog.hashtext(
          %(name)s::pg_catalog.text COLLATE pg_catalog."C"
      )::bigint OPERATOR(pg_catalog.&) 4294967295)
  AND lock.objsubid OPERATOR(pg_catalog.=) 2
  AND lock.database OPERATOR(pg_catalog.=) (
      SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
  )
  AND lock.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
ORDER BY lock.granted DESC, lock.pid;
