-- Which advisory locks of this database does a session hold that does nothing?
--
-- `age_s` is how long it has done nothing, so the lock is at least that old. `obstacle` says why a holder
-- can't be judged. Everybody may see who holds which lock, but not what others do. A lease
-- (postgres.leases) is there to be held by a session that does nothing.
-- Parameter: own_name, the application_name of our own sessions.
SELECT CASE
           -- One bigint, or two ints; as signed numbers, which is how they were given.
           WHEN lock.objsubid OPERATOR(pg_catalog.=) 1
               THEN ((lock.classid::bigint OPERATOR(pg_catalog.<<) 32)
                   OPERATOR(pg_catalog.|) lock.objid::bigint)::pg_catalog.text
           ELSE '(' OPERATOR(pg_catalog.||) lock.classid::bigint::bit(32)::int OPERATOR(pg_catalog.||) ', '
               OPERATOR(pg_catalog.||) lock.objid::bigint::bit(32)::int OPERATOR(pg_catalog.||) ')'
       END AS name,
       pg_catalog.concat_ws(
           ', ',
           CASE WHEN lock.mode OPERATOR(pg_catalog.=) 'ShareLock' THEN 'shared' END,
           'pid ' OPERATOR(pg_catalog.||) session.pid,
           session.state,
           'user ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(session.usesysid)
       ) AS detail,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) session.state_change
       )::pg_catalog.float8 AS age_s,
       coalesce(session.application_name, '') AS application_name,
       session.query AS statement,
       CASE
           WHEN session.state IS NULL THEN 'hidden'
           WHEN session.state OPERATOR(pg_catalog.=) 'disabled' THEN 'untracked'
       END AS obstacle,
       session.pid,
       session.backend_start
FROM pg_catalog.pg_lock_status() AS lock
JOIN pg_catalog.pg_stat_get_activity(NULL) AS session ON session.pid OPERATOR(pg_catalog.=) lock.pid
WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
  AND lock.granted
  AND NOT (lock.classid OPERATOR(pg_catalog.=) 1885828980 AND lock.objsubid OPERATOR(pg_catalog.=) 2)
  AND lock.database OPERATOR(pg_catalog.=) (
      SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
  )
  AND (session.application_name OPERATOR(pg_catalog.=) %(own_name)s) IS NOT TRUE
  AND (
      session.state IS NULL AND session.query OPERATOR(pg_catalog.=) '<insufficient privilege>'
      OR session.state OPERATOR(pg_catalog.=) 'disabled'
      OR session.state OPERATOR(pg_catalog.~~) 'idle%%'
  )
ORDER BY session.pid, lock.objsubid, lock.classid, lock.objid, lock.mode;
