-- Which sessions of this database have been idle in a transaction for a while, and into which can't we look?
--
-- `obstacle` says why a session in a transaction can't be judged; then it may or may not be one. Functions, not views:
-- pg_stat_activity joins pg_database and pg_authid, and hangs while those are locked.
-- Parameters: own_name, the application_name of our own sessions; at_least_s, how long "a while" is.
SELECT 'pid ' OPERATOR(pg_catalog.||) session.pid AS name,
       pg_catalog.concat_ws(
           ', ',
           session.state,
           'user ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(session.usesysid)
       ) AS detail,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) session.xact_start
       )::pg_catalog.float8 AS age_s,
       coalesce(session.application_name, '') AS application_name,
       session.query AS statement,
       CASE
           WHEN session.state IS NULL THEN 'hidden'
           WHEN session.state OPERATOR(pg_catalog.=) 'disabled' THEN 'untracked'
       END AS obstacle,
       session.pid,
       session.backend_start
FROM pg_catalog.pg_stat_get_activity(NULL) AS session
WHERE session.datid OPERATOR(pg_catalog.=) (
    SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
)
  -- A session without a user is the server's own process.
  AND session.usesysid IS NOT NULL
  AND (session.application_name OPERATOR(pg_catalog.=) %(own_name)s) IS NOT TRUE
  AND (session.backend_type IS NULL OR session.backend_type OPERATOR(pg_catalog.=) 'client backend')
  AND (
      -- Everybody may see who is in a transaction: its own virtual id is locked while it lasts.
      (
          (session.state IS NULL
              AND session.query OPERATOR(pg_catalog.=) '<insufficient privilege>'
              OR session.state OPERATOR(pg_catalog.=) 'disabled')
          AND session.pid OPERATOR(pg_catalog.=) ANY (
              SELECT lock.pid FROM pg_catalog.pg_lock_status() AS lock
              WHERE lock.locktype OPERATOR(pg_catalog.=) 'virtualxid'
                  AND lock.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
                  AND lock.granted
          )
      )
      OR (
          session.state OPERATOR(pg_catalog.=) ANY ('{idle in transaction,idle in transaction (aborted)}')
          AND pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) session.state_change
              OPERATOR(pg_catalog.>=) pg_catalog.make_interval(secs => %(at_least_s)s)
      )
  )
ORDER BY session.xact_start, session.pid;
