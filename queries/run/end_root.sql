-- End this very session, if it is as it was seen: idle in the same transaction since, and in the way of others.
--
-- No row: it isn't so any more, and was left alone. All is checked where the signal is sent. Only in the
-- database that we are connected to, and none that holds a lease.
-- Parameters: pid, backend_start, state_change, waiters, own_name, lease_key.
SELECT pg_catalog.pg_terminate_backend(pid) AS signalled
FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer)
WHERE pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
  AND backend_start OPERATOR(pg_catalog.=) %(backend_start)s::pg_catalog.timestamptz
  AND state_change OPERATOR(pg_catalog.=) %(state_change)s::pg_catalog.timestamptz
  AND state OPERATOR(pg_catalog.=) ANY ('{idle in transaction,idle in transaction (aborted)}')
  AND datid OPERATOR(pg_catalog.=) (
      SELECT own.datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS own
  )
  AND (application_name OPERATOR(pg_catalog.=) %(own_name)s::pg_catalog.text) IS NOT TRUE
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lock
      WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
        AND lock.granted
        AND lock.pid OPERATOR(pg_catalog.=) %(pid)s::integer
        AND lock.classid OPERATOR(pg_catalog.=) %(lease_key)s::pg_catalog.oid
        AND lock.objsubid OPERATOR(pg_catalog.=) 2
  )
  AND EXISTS (
      SELECT FROM pg_catalog.unnest(%(waiters)s::integer[]) AS waiter (pid)
      WHERE %(pid)s::integer OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(waiter.pid))
  );
