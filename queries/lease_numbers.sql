-- Which leases are held, by the number that hashtext() makes of their names?
--
-- In whatever database of this server. Our own session's don't count.
-- Parameter: lease_key.
SELECT DISTINCT lock.objid::bigint::bit(32)::int AS number
FROM pg_catalog.pg_lock_status() AS lock
WHERE lock.locktype = 'advisory'
  AND lock.granted
  AND lock.classid = %(lease_key)s::oid
  AND lock.objsubid = 2
  AND lock.pid IS DISTINCT FROM pg_catalog.pg_backend_pid();
