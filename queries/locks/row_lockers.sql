-- Which sessions have locked a row that several have locked at once?
--
-- Parameters: multixact, the row's xmax as text; transaction, the id that a waiter for the row waits for.
-- One row per member of the multixact that a session is in: its pid, how it has locked the row, and when its
-- transaction began (epoch, s; NULL if hidden). No row if the waited-for transaction isn't a member: then
-- xmax is something else.
WITH member AS MATERIALIZED (
    SELECT xid, mode FROM pg_catalog.pg_get_multixact_members(%(multixact)s::pg_catalog.xid)
)
SELECT holder.pid,
       member.mode,
       (SELECT extract(epoch FROM xact_start)::pg_catalog.float8
        FROM pg_catalog.pg_stat_get_activity(holder.pid)) AS xact_start
FROM pg_catalog.pg_lock_status() AS holder
JOIN member ON member.xid OPERATOR(pg_catalog.=) holder.transactionid
WHERE holder.locktype OPERATOR(pg_catalog.=) 'transactionid'
  AND holder.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
  AND holder.granted
  AND holder.pid IS NOT NULL
  AND %(transaction)s::pg_catalog.xid OPERATOR(pg_catalog.=) ANY (SELECT xid FROM member)
ORDER BY holder.pid;
