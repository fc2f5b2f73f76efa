-- For which sessions that hold it do these sessions wait?
--
-- A session that only waits for it further ahead isn't among them: the server may put it behind
-- (DeadLockCheck, src/backend/storage/lmgr/deadlock.c).
WITH lock AS MATERIALIZED (
    SELECT pid, granted,
           (locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
            objsubid)::pg_catalog.text AS tag
    FROM pg_catalog.pg_lock_status()
)
SELECT waiter.pid, blocker.pid
FROM pg_catalog.unnest(CAST(%(pids)s AS pg_catalog.int4[])) AS waiter (pid)
CROSS JOIN LATERAL pg_catalog.unnest(
    pg_catalog.pg_blocking_pids(waiter.pid)
        OPERATOR(pg_catalog.||) pg_catalog.pg_safe_snapshot_blocking_pids(waiter.pid)
) AS blocker (pid)
WHERE EXISTS (
    SELECT FROM lock AS wanted
    JOIN lock AS held ON held.tag OPERATOR(pg_catalog.=) wanted.tag
    WHERE wanted.pid OPERATOR(pg_catalog.=) waiter.pid AND NOT wanted.granted
        AND held.pid OPERATOR(pg_catalog.=) blocker.pid AND held.granted
);
