-- Which advisory locks of this database does a session hold that does nothing?
--
-- `age_s` is how long it has done nothing, so the lock is at least that old. `obstacle` says why a holder
-- can't be judged. Everybody may see who holds which lock, but not what others do. A lease
-- (sweep.leases) is there to be held by a session that does nothing.
-- Parameter: own_name, the application_name of our own sessions.
SELECT CASE lock.objsubid
           -- One bigint, or two ints; as signed numbers, which is how they were given.
           WHEN 1 THEN ((lock.classid::bigint << 32) | lock.objid::bigint)::text
           ELSE '(' || lock.classid::bigint::bit(32)::int || ', ' || lock.objid::bigint::bit(32)::int || ')'
       END AS name,
       concat_ws(
           ', ',
           CASE lock.mode WHEN 'ShareLock' THEN 'shared' END,
           'pid ' || session.pid,
           session.state,
           'user ' || pg_catalog.pg_get_userbyid(session.usesysid)
       ) AS detail,
       extract(epoch FROM clock_timestamp() - session.state_change)::float8 AS age_s,
       coalesce(session.application_name, '') AS application_name,
       session.query AS statement,
       CASE
           WHEN session.state IS NULL THEN 'hidden'
           WHEN session.state = 'disabled' THEN 'untracked'
       END AS obstacle
FROM pg_catalog.pg_lock_status() AS lock
JOIN pg_catalog.pg_stat_get_activity(NULL) AS session ON session.pid = lock.pid
WHERE lock.locktype = 'advisory'
  AND lock.granted
  AND NOT (lock.classid = 1885828980 AND lock.objsubid = 2)
  AND lock.database = (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
  AND session.application_name IS DISTINCT FROM %(own_name)s
  AND (
      session.state IS NULL AND session.query = '<insufficient privilege>'
      OR session.state = 'disabled'
      OR session.state LIKE 'idle%%'
  )
ORDER BY session.pid, lock.objsubid, lock.classid, lock.objid, lock.mode;
