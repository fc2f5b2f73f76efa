-- Was this very session told to end, as it was seen: idle in the same transaction since, and without a lease?
--
-- No row: it isn't so any more, and was left alone. All is checked where the signal is sent.
-- Parameters: pid, backend_start, state_change, own_name, lease_key.
SELECT pg_catalog.pg_terminate_backend(pid) AS signalled
FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer)
WHERE pid <> pg_catalog.pg_backend_pid()
  AND backend_start = %(backend_start)s::timestamptz
  AND state_change = %(state_change)s::timestamptz
  AND state IN ('idle in transaction', 'idle in transaction (aborted)')
  AND application_name IS DISTINCT FROM %(own_name)s::text
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lock
      WHERE lock.locktype = 'advisory' AND lock.granted AND lock.pid = %(pid)s::integer
        AND lock.classid = %(lease_key)s::oid AND lock.objsubid = 2
  );
