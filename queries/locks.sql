-- Which sessions are there, which of them wait, for whom, and on which locks?
--
-- One row a process or prepared transaction (pid 0). Functions, not views: pg_locks is fine, but
-- pg_stat_activity joins pg_database and pg_authid and hangs while a session has those locked.
-- The blockers are the server's own word (pg_blocking_pids), asked only for those that wait; the
-- lock rows beside them are what names the lock and tells a holder from one queued ahead.
WITH before_14 AS (
    -- `waitstart` came with 14: where the inner query has none, the name finds this one.
    SELECT NULL::timestamptz AS waitstart
), lock AS MATERIALIZED (
    SELECT seen.*
    FROM before_14
    CROSS JOIN LATERAL (
        SELECT locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
               objsubid, virtualtransaction, coalesce(pid, 0) AS pid, mode, granted, fastpath, waitstart,
               (locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
                objsubid)::text AS tag
        FROM pg_catalog.pg_lock_status() AS status
        WHERE mode <> 'SIReadLock'
    ) AS seen
), activity AS MATERIALIZED (
    SELECT * FROM pg_catalog.pg_stat_get_activity(NULL)
), waiting AS MATERIALIZED (
    SELECT DISTINCT lock.pid, lock.tag, lock.locktype, coalesce(activity.leader_pid, lock.pid) AS leader
    FROM lock LEFT JOIN activity ON activity.pid = lock.pid
    WHERE NOT lock.granted
), blocked AS MATERIALIZED (
    -- Asked for leaders: the answer covers their parallel workers and names leaders only.
    SELECT leader AS pid, pg_catalog.pg_blocking_pids(leader) AS blockers
    FROM (SELECT DISTINCT leader FROM waiting) AS leaders
), in_transaction_wait AS MATERIALIZED (
    -- Both sides of a wait for a transaction: what else they hold tells the row or the table.
    -- IS TRUE here and below: looked up in a hash. As a join it is planned for few rows, and quadratic.
    SELECT pid FROM waiting WHERE locktype = 'transactionid'
    UNION
    SELECT holder.pid FROM lock AS holder
    WHERE holder.granted AND holder.locktype = 'transactionid'
      AND (holder.tag IN (SELECT tag FROM waiting WHERE locktype = 'transactionid')) IS TRUE
), relevant AS (
    SELECT lock.* FROM lock WHERE tag IN (SELECT tag FROM waiting)
    UNION ALL
    SELECT lock.* FROM lock
    WHERE lock.granted
      AND (lock.pid IN (SELECT pid FROM in_transaction_wait)) IS TRUE
      AND (lock.locktype = 'tuple'
           OR (lock.locktype = 'relation' AND lock.mode IN ('RowShareLock', 'RowExclusiveLock')))
      AND tag NOT IN (SELECT tag FROM waiting)
    UNION ALL
    -- DROP DATABASE and its like hold this while they wait for all others to leave the database, which the
    -- lock table doesn't show as a wait (CountOtherDBBackends, src/backend/storage/ipc/procarray.c).
    SELECT lock.* FROM lock
    WHERE lock.granted AND lock.locktype = 'object' AND lock.classid = 1262 AND lock.objid <> 0
      AND lock.mode IN ('ShareLock', 'AccessExclusiveLock')
      AND tag NOT IN (SELECT tag FROM waiting)
), transaction_of AS (
    -- A prepared transaction's lock rows have no pid; its transaction id row says whose they are.
    SELECT lock.virtualtransaction, prepared.gid, prepared.prepared, prepared.ownerid, prepared.dbid
    FROM pg_catalog.pg_prepared_xact() AS prepared
    JOIN lock ON lock.pid = 0 AND lock.locktype = 'transactionid' AND lock.mode = 'ExclusiveLock'
             AND lock.transactionid = prepared.transaction
), lock_list AS (
    SELECT relevant.pid,
           coalesce(transaction_of.gid, '') AS gid,
           pg_catalog.json_agg(pg_catalog.json_build_array(
               -- As bigint: JSON would have oid and xid in quotes.
               relevant.locktype, relevant.database::bigint, relevant.relation::bigint, relevant.page,
               relevant.tuple, relevant.virtualxid, relevant.transactionid::text::bigint,
               relevant.classid::bigint, relevant.objid::bigint,
               relevant.objsubid, relevant.virtualtransaction, relevant.mode, relevant.granted,
               extract(epoch FROM relevant.waitstart)::float8
           )) AS locks
    FROM relevant
    LEFT JOIN transaction_of ON relevant.pid = 0
                            AND transaction_of.virtualtransaction = relevant.virtualtransaction
    GROUP BY 1, 2
), process AS (
    SELECT activity.pid, '' AS gid, activity.backend_start, activity.backend_type, activity.datid,
           activity.usesysid, activity.application_name, activity.client_addr::text, activity.client_port,
           activity.state, activity.wait_event_type, activity.wait_event, activity.xact_start,
           activity.state_change, activity.query_start, activity.query, activity.leader_pid
    FROM activity
    UNION ALL
    -- Before 18 a session that is still connecting waits without being in the activity list.
    SELECT DISTINCT waiting.pid, '', NULL::timestamptz, 'client backend', NULL::oid, NULL::oid, '', NULL,
           NULL::integer, 'starting', NULL, NULL, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz,
           '', NULL::integer
    FROM waiting
    WHERE waiting.pid <> 0 AND waiting.pid NOT IN (SELECT pid FROM activity)
    UNION ALL
    SELECT 0, transaction_of.gid, NULL, 'prepared transaction', transaction_of.dbid,
           transaction_of.ownerid, '', NULL, NULL, 'prepared', NULL, NULL, transaction_of.prepared,
           transaction_of.prepared, NULL, '', NULL
    FROM transaction_of
), capacity AS (
    -- The lock table holds max_locks_per_transaction * (max_connections + max_prepared_transactions) objects
    -- (manual, max_locks_per_transaction); locks on the fast path aren't in it. Telling rows of one object
    -- apart takes time, and matters where there are many: so the subquery isn't run but then.
    SELECT pg_catalog.json_build_array(
               settings.connections, settings.reserved, settings.locks,
               CASE WHEN held.rows < settings.locks / 2 THEN held.rows
                    ELSE (SELECT count(DISTINCT lock.tag) FROM lock WHERE NOT lock.fastpath) END
           ) AS numbers
    FROM (
        SELECT current_setting('max_connections')::int AS connections,
               current_setting('superuser_reserved_connections')::int
                   -- Since 16.
                   + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
               current_setting('max_locks_per_transaction')::bigint
                   * (current_setting('max_connections')::int
                      + current_setting('max_prepared_transactions')::int) AS locks
    ) AS settings
    CROSS JOIN (SELECT count(*) AS rows FROM lock WHERE NOT lock.fastpath) AS held
), shut AS (
    -- A new session reads catalogs (RelationCacheInitializePhase3, src/backend/utils/cache/relcache.c), and
    -- waits for whoever has locked one. Their OIDs are below 16384 (src/include/access/transam.h).
    SELECT pg_catalog.array_agg(DISTINCT database) AS databases
    FROM lock
    WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND relation < 16384::oid
)
-- An empty list is NULL: most sessions wait for nobody, and hundreds of empty lists take time to read.
SELECT process.pid,
       process.gid,
       extract(epoch FROM process.backend_start)::float8 AS backend_start,
       process.backend_type,
       process.datid,
       process.usesysid,
       process.application_name,
       process.client_addr,
       process.client_port,
       process.state,
       process.wait_event_type,
       process.wait_event,
       extract(epoch FROM clock.now - process.xact_start)::float8 AS xact_age_s,
       extract(epoch FROM clock.now - process.state_change)::float8 AS state_age_s,
       extract(epoch FROM clock.now - process.query_start)::float8 AS query_age_s,
       process.query,
       process.leader_pid,
       blocked.blockers,
       CASE WHEN process.wait_event = 'SafeSnapshot'
            THEN pg_catalog.pg_safe_snapshot_blocking_pids(process.pid) END AS safe_snapshot_blockers,
       lock_list.locks,
       CASE WHEN process.pid = pg_catalog.pg_backend_pid() THEN (SELECT numbers FROM capacity) END AS capacity,
       shut.databases AS shut_databases,
       process.pid = pg_catalog.pg_backend_pid() AS is_own,
       extract(epoch FROM pg_catalog.pg_postmaster_start_time())::float8 AS server_started,
       extract(epoch FROM clock.now)::float8 AS sampled_at,
       -- Volatile, so computed after all else: what the statement has cost the server.
       extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp())::float8 AS spent_s
FROM process
CROSS JOIN (SELECT pg_catalog.clock_timestamp() AS now) AS clock
CROSS JOIN shut
LEFT JOIN blocked ON blocked.pid = process.pid AND process.pid <> 0
LEFT JOIN lock_list ON lock_list.pid = process.pid AND lock_list.gid = process.gid
ORDER BY process.pid, process.gid;
