-- Who waits for the end of what a session of ours reads? One row a process.
--
-- Of all modes only ACCESS EXCLUSIVE conflicts with a reader's (PostgreSQL manual, Explicit Locking). CREATE
-- INDEX CONCURRENTLY and its like wait for the transaction itself, by its virtual id.
-- Parameter: pid, of our session.
SELECT DISTINCT waiting.pid, coalesce(activity.application_name, '') AS application_name
FROM pg_catalog.pg_lock_status() AS held
JOIN pg_catalog.pg_lock_status() AS waiting
    ON waiting.virtualxid OPERATOR(pg_catalog.=) held.virtualxid
    OR (
        waiting.database OPERATOR(pg_catalog.=) held.database
        AND waiting.relation OPERATOR(pg_catalog.=) held.relation
        AND waiting.locktype OPERATOR(pg_catalog.=) held.locktype
        AND waiting.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
    )
LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(waiting.pid) AS activity ON true
WHERE held.pid OPERATOR(pg_catalog.=) %(pid)s::pg_catalog.int4
    AND held.granted AND NOT waiting.granted
    AND (
        held.locktype OPERATOR(pg_catalog.=) 'virtualxid'
        OR (
            held.locktype OPERATOR(pg_catalog.=) 'relation'
            AND held.mode OPERATOR(pg_catalog.=) 'AccessShareLock'
        )
    );
