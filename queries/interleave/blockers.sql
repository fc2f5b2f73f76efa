-- For whom do these sessions wait?
SELECT waiter.pid, blocker.pid
FROM pg_catalog.unnest(CAST(%(pids)s AS pg_catalog.int4[])) AS waiter (pid)
CROSS JOIN LATERAL pg_catalog.unnest(
    pg_catalog.pg_blocking_pids(waiter.pid)
        OPERATOR(pg_catalog.||) pg_catalog.pg_safe_snapshot_blocking_pids(waiter.pid)
) AS blocker (pid);
