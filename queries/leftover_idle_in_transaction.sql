-- Which sessions of this database have been idle in a transaction for a while, and into which can't we look?
--
-- `obstacle` says why a session in a transaction can't be judged; then it may or may not be one. Functions, not views:
-- pg_stat_activity joins pg_database and pg_authid, and hangs while those are locked.
-- Parameters: own_name, the application_name of our own sessions; at_least_s, how long "a while" is.
SELECT 'pid ' || session.pid AS name,
       concat_ws(
           ', ',
           session.state,
           'user ' || pg_catalog.pg_get_userbyid(session.usesysid)
       ) AS detail,
       extract(epoch FROM clock_timestamp() - session.xact_start)::float8 AS age_s,
       coalesce(session.application_name, '') AS application_name,
       session.query AS statement,
       CASE
           WHEN session.state IS NULL THEN 'hidden'
           WHEN session.state = 'disabled' THEN 'untracked'
       END AS obstacle
FROM pg_catalog.pg_stat_get_activity(NULL) AS session
WHERE session.datid = (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
  -- A session without a user is the server's own process.
  AND session.usesysid IS NOT NULL
  AND session.application_name IS DISTINCT FROM %(own_name)s
  AND (session.backend_type IS NULL OR session.backend_type = 'client backend')
  AND (
      -- Everybody may see who is in a transaction: its own virtual id is locked while it lasts.
      (
          (session.state IS NULL AND session.query = '<insufficient privilege>' OR session.state = 'disabled')
          AND session.pid IN (
              SELECT lock.pid FROM pg_catalog.pg_lock_status() AS lock
              WHERE lock.locktype = 'virtualxid' AND lock.mode = 'ExclusiveLock' AND lock.granted
          )
      )
      OR (
          session.state IN ('idle in transaction', 'idle in transaction (aborted)')
          AND clock_timestamp() - session.state_change >= make_interval(secs => %(at_least_s)s)
      )
  )
ORDER BY session.xact_start, session.pid;
