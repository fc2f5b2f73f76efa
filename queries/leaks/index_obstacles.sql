-- Which transactions would have to end before an index on this table can be made concurrently?
--
-- One row per transaction, the oldest first, but for our own sessions': those that have locked the table for more
-- than reading, and those that still read, anywhere in this database, by an older snapshot. `pid` is NULL for a
-- prepared transaction, `age_s` where the role may not see it.
-- Parameters: relation (oid), pid, of our other session.
WITH held AS MATERIALIZED (
    SELECT locktype, relation, mode, pid, virtualtransaction
    FROM pg_catalog.pg_lock_status()
    WHERE granted
        AND (
            locktype OPERATOR(pg_catalog.=) 'virtualxid'
            OR (
                relation OPERATOR(pg_catalog.=) %(relation)s::pg_catalog.oid
                AND database OPERATOR(pg_catalog.=) (
                    SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
                )
                -- What conflicts with the ShareLock that is waited for (src/backend/commands/indexcmds.c).
                AND mode OPERATOR(pg_catalog.=) ANY (
                    '{RowExclusiveLock,ShareUpdateExclusiveLock,ShareRowExclusiveLock,ExclusiveLock,
                    AccessExclusiveLock}'
                )
            )
        )
), activity AS MATERIALIZED (
    SELECT pid, datid, application_name, xact_start, backend_xmin FROM pg_catalog.pg_stat_get_activity(NULL)
)
SELECT DISTINCT
       held.virtualtransaction AS transaction,
       held.pid,
       coalesce(activity.application_name, '') AS application_name,
       extract(epoch FROM pg_catalog.statement_timestamp() OPERATOR(pg_catalog.-) activity.xact_start)::pg_catalog.float8
           AS age_s
FROM held
LEFT JOIN activity ON activity.pid OPERATOR(pg_catalog.=) held.pid
WHERE (
        held.locktype OPERATOR(pg_catalog.=) 'relation'
        OR (
            activity.backend_xmin IS NOT NULL
            AND activity.datid OPERATOR(pg_catalog.=) (
                SELECT own.datid FROM activity AS own
                WHERE own.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
            )
        )
    )
    AND (held.pid OPERATOR(pg_catalog.=) ANY (ARRAY[pg_catalog.pg_backend_pid(), %(pid)s::pg_catalog.int4]))
        IS NOT TRUE
ORDER BY age_s DESC NULLS LAST, held.pid;
