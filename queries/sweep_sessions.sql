-- Which sessions of this database have been idle in a transaction for so long, and which of them hold a lease?
--
-- Only those whose state our role may see. `age_s` is how long they have been idle.
-- Parameters: own_name, the application_name of our own sessions; at_least_s; lease_key.
SELECT session.pid,
       session.backend_start,
       session.state_change,
       session.usesysid::bigint AS user_oid,
       session.state,
       coalesce(session.application_name, '') AS application_name,
       session.query AS statement,
       extract(epoch FROM clock_timestamp() - session.state_change)::float8 AS age_s,
       EXISTS (
           SELECT FROM pg_catalog.pg_lock_status() AS lock
           WHERE lock.locktype = 'advisory' AND lock.granted AND lock.pid = session.pid
             AND lock.classid = %(lease_key)s::oid AND lock.objsubid = 2
       ) AS holds_lease
FROM pg_catalog.pg_stat_get_activity(NULL) AS session
WHERE session.datid = (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
  AND session.backend_type = 'client backend'
  AND session.application_name IS DISTINCT FROM %(own_name)s::text
  AND session.state IN ('idle in transaction', 'idle in transaction (aborted)')
  AND clock_timestamp() - session.state_change >= make_interval(secs => %(at_least_s)s)
ORDER BY session.state_change, session.pid;
