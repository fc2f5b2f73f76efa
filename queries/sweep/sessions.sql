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
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) session.state_change
       )::pg_catalog.float8 AS age_s,
       EXISTS (
           SELECT FROM pg_catalog.pg_lock_status() AS lock
           WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
             AND lock.granted
             AND lock.pid OPERATOR(pg_catalog.=) session.pid
             AND lock.classid OPERATOR(pg_catalog.=) %(lease_key)s::pg_catalog.oid
             AND lock.objsubid OPERATOR(pg_catalog.=) 2
       ) AS holds_lease
FROM pg_catalog.pg_stat_get_activity(NULL) AS session
WHERE session.datid OPERATOR(pg_catalog.=) (
    SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
)
  AND session.backend_type OPERATOR(pg_catalog.=) 'client backend'
  AND (session.application_name OPERATOR(pg_catalog.=) %(own_name)s::pg_catalog.text) IS NOT TRUE
  AND session.state OPERATOR(pg_catalog.=) ANY ('{idle in transaction,idle in transaction (aborted)}')
  AND pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) session.state_change
      OPERATOR(pg_catalog.>=) pg_catalog.make_interval(secs => %(at_least_s)s)
ORDER BY session.state_change, session.pid;
