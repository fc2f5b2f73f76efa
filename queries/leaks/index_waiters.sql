-- Cancel our build or drop of an index if anybody waits for it, and name who waits.
--
-- One row per process that waits, directly or behind what our session waits for.
-- Parameter: pid, of our session.
SELECT waiting.pid,
       coalesce(activity.application_name, '') AS application_name,
       pg_catalog.pg_cancel_backend(%(pid)s::pg_catalog.int4) AS cancelled
FROM (
    SELECT DISTINCT lock.pid
    FROM pg_catalog.pg_lock_status() AS lock
    WHERE NOT lock.granted AND lock.pid OPERATOR(pg_catalog.<>) %(pid)s::pg_catalog.int4
) AS waiting
LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(waiting.pid) AS activity ON true
WHERE %(pid)s::pg_catalog.int4 OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(waiting.pid));
