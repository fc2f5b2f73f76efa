-- Who waits for the end of what a session of ours reads?
--
-- One row per process.
-- Of all modes only ACCESS EXCLUSIVE conflicts with a reader's (PostgreSQL manual, Explicit Locking). CREATE
-- INDEX CONCURRENTLY and its like wait for the transaction itself, by its virtual id.
-- Parameter: pid, of our session. It may hold thousands of locks: a join of all with all would take seconds.
WITH lock AS MATERIALIZED (
    SELECT locktype, database, relation, virtualxid, pid, mode, granted
    FROM pg_catalog.pg_lock_status()
    WHERE NOT granted OR pid OPERATOR(pg_catalog.=) %(pid)s::pg_catalog.int4
), held AS (
    SELECT locktype, database, relation, virtualxid, mode
    FROM lock
    WHERE granted AND pid OPERATOR(pg_catalog.=) %(pid)s::pg_catalog.int4
)
SELECT DISTINCT waiting.pid, coalesce(activity.application_name, '') AS application_name
FROM lock AS waiting
LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(waiting.pid) AS activity ON true
WHERE NOT waiting.granted
    AND (
        waiting.virtualxid OPERATOR(pg_catalog.=) ANY (
            SELECT virtualxid FROM held WHERE locktype OPERATOR(pg_catalog.=) 'virtualxid'
        )
        OR (
            waiting.locktype OPERATOR(pg_catalog.=) 'relation'
            AND waiting.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
            AND (waiting.database, waiting.relation) OPERATOR(pg_catalog.=) ANY (
                SELECT database, relation
                FROM held
                WHERE locktype OPERATOR(pg_catalog.=) 'relation'
                    AND mode OPERATOR(pg_catalog.=) 'AccessShareLock'
            )
        )
    );
