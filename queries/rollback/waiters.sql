-- Which sessions wait for this one to end its transaction?
--
-- Parameter: pid.
SELECT DISTINCT lock.pid
FROM pg_catalog.pg_lock_status() AS lock
WHERE NOT lock.granted
  AND %(pid)s::int OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(lock.pid));
