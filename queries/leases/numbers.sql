-- Which leases are held, by the number that hashtext() makes of their names?
--
-- In whatever database of this server. Our own session's don't count.
-- Parameter: lease_key.
SELECT DISTINCT lock.objid::bigint::bit(32)::int AS number
FROM pg_catalog.pg_lock_status() AS lock
WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
  AND lock.granted
  AND lock.classid OPERATOR(pg_catalog.=) %(lease_key)s::pg_catalog.oid
  AND lock.objsubid OPERATOR(pg_catalog.=) 2
  AND (lock.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) IS NOT TRUE;
