-- Which of these leases are held, and by which session?
--
-- A lease is an advisory lock of any database of this server. hashtext() may give two names the same number:
-- then both are held. Our own session's don't count. `pid` is NULL for a prepared transaction.
-- Parameters: lease_key, names.
SELECT wanted.name, pg_catalog.min(lock.pid) AS pid
FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) AS wanted (name)
JOIN pg_catalog.pg_lock_status() AS lock
  ON lock.objid::bigint
      OPERATOR(pg_catalog.=) (pg_catalog.hashtext(wanted.name COLLATE pg_catalog."C")::bigint
          OPERATOR(pg_catalog.&) 4294967295)
WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
  AND lock.granted
  AND lock.classid OPERATOR(pg_catalog.=) %(lease_key)s::pg_catalog.oid
  AND lock.objsubid OPERATOR(pg_catalog.=) 2
  AND (lock.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) IS NOT TRUE
GROUP BY wanted.name;
