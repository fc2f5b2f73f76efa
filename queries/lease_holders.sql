-- Which of these leases are held, and by which session?
--
-- A lease is an advisory lock of any database of this server. hashtext() may give two names the same number:
-- then both are held. Our own session's don't count. `pid` is NULL for a prepared transaction.
-- Parameters: lease_key, names.
SELECT wanted.name, min(lock.pid) AS pid
FROM unnest(%(names)s::text[]) AS wanted (name)
JOIN pg_catalog.pg_lock_status() AS lock
  ON lock.objid::bigint = pg_catalog.hashtext(wanted.name COLLATE "C")::bigint & 4294967295
WHERE lock.locktype = 'advisory'
  AND lock.granted
  AND lock.classid = %(lease_key)s::oid
  AND lock.objsubid = 2
  AND lock.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
GROUP BY wanted.name;
