-- Which sessions are there, which of them wait, for whom, and on which locks?
--
-- One row per process or prepared transaction (pid 0). Functions, not views: pg_locks is fine, but
-- pg_stat_activity joins pg_database and pg_authid and hangs while a session has those locked.
-- The blockers are the server's own word (pg_blocking_pids), asked only for those that wait, and of a long
-- queue for the last one; the lock rows beside them are what names the lock and tells a holder from one queued
-- ahead.
WITH before_14 AS (
    -- `waitstart` came with 14: where the inner query has none, the name finds this one.
    SELECT NULL::pg_catalog.timestamptz AS waitstart
), lock AS MATERIALIZED (
    SELECT seen.*
    FROM before_14
    CROSS JOIN LATERAL (
        SELECT locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
               objsubid, virtualtransaction, coalesce(pid, 0) AS pid, mode, granted, fastpath, waitstart,
               (locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
                objsubid)::pg_catalog.text AS tag
        FROM pg_catalog.pg_lock_status() AS status
        WHERE mode OPERATOR(pg_catalog.<>) 'SIReadLock'
    ) AS seen
), activity AS MATERIALIZED (
    SELECT * FROM pg_catalog.pg_stat_get_activity(NULL)
), waiting AS MATERIALIZED (
    SELECT lock.pid, lock.tag, lock.locktype, lock.mode, lock.waitstart, activity.query_start,
           coalesce(activity.leader_pid, lock.pid) AS leader
    FROM lock LEFT JOIN activity ON activity.pid OPERATOR(pg_catalog.=) lock.pid
    WHERE NOT lock.granted
), waited_for AS MATERIALIZED (
    -- IS TRUE here and below: looked up in a hash. As a join it is planned for few rows, and quadratic.
    SELECT lock.* FROM lock WHERE (tag OPERATOR(pg_catalog.=) ANY (SELECT tag FROM waiting)) IS TRUE
), queued AS MATERIALIZED (
    -- To ask pg_blocking_pids() for each of thousands in one queue takes seconds: each time it goes through
    -- the queue for each in the queue (src/backend/utils/adt/lockfuncs.c). But where all want the same mode,
    -- which excludes itself, each is blocked by all ahead. Who has the lock in a weaker mode may be let in
    -- ahead of others (ProcSleep, src/backend/storage/lmgr/proc.c), so such queues are left out here.
    SELECT waiting.pid, waiting.tag, waiting.mode, waiting.waitstart, waiting.query_start
    FROM waiting
    WHERE waiting.mode OPERATOR(pg_catalog.=) ANY (
            '{ShareUpdateExclusiveLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'
        )
        AND waiting.pid OPERATOR(pg_catalog.=) waiting.leader
        AND NOT (waiting.pid OPERATOR(pg_catalog.=) ANY (
            SELECT leader_pid FROM activity WHERE leader_pid IS NOT NULL
        ))
        AND NOT (waiting.tag OPERATOR(pg_catalog.=) ANY (
            SELECT tag
            FROM waited_for
            GROUP BY tag, pid
            HAVING pg_catalog.bool_or(granted) AND NOT pg_catalog.bool_and(granted)
        ))
), queue AS MATERIALIZED (
    -- Who came last names all others. If that wasn't the last, those that it doesn't name are asked below.
    SELECT found.tag, found.mode, found.last, pg_catalog.pg_blocking_pids(found.last) AS blockers,
           -- Some others of a queue are asked as well, each time others: a check.
           pg_catalog.floor(pg_catalog.random() OPERATOR(pg_catalog.*) found.step)::bigint AS first_asked,
           found.step
    FROM (
        SELECT tag, mode,
               (pg_catalog.array_agg(pid ORDER BY waitstart DESC NULLS FIRST, query_start DESC NULLS LAST))[1]
                   AS last,
               pg_catalog.count(*) OPERATOR(pg_catalog./) 16 AS step
        FROM queued
        GROUP BY tag, mode
        HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 64
    ) AS found
), place AS MATERIALIZED (
    SELECT named.pid, named.place, queue.last,
           named.place OPERATOR(pg_catalog.%) queue.step OPERATOR(pg_catalog.=) queue.first_asked AS is_asked
    FROM queue
    CROSS JOIN LATERAL pg_catalog.unnest(queue.blockers) WITH ORDINALITY AS named(pid, place)
    WHERE ((named.pid, queue.tag, queue.mode) OPERATOR(pg_catalog.=) ANY (SELECT pid, tag, mode FROM queued))
        IS TRUE
), checked AS MATERIALIZED (
    -- pg_blocking_pids() names them in the order in which they came (the lock's list of holders and waiters).
    SELECT place.pid, pg_catalog.pg_blocking_pids(place.pid) AS blockers,
           queue.blockers[1:(place.place OPERATOR(pg_catalog.-) 1)::int] AS expected
    FROM place
    JOIN queue ON queue.last OPERATOR(pg_catalog.=) place.last
    WHERE place.is_asked
), blocked AS MATERIALIZED (
    -- Asked for leaders: the answer covers their parallel workers and names leaders only.
    SELECT leader AS pid, pg_catalog.pg_blocking_pids(leader) AS blockers
    FROM (SELECT DISTINCT leader FROM waiting) AS leaders
    WHERE NOT (leader OPERATOR(pg_catalog.=) ANY (SELECT pid FROM place UNION ALL SELECT last FROM queue))
    UNION ALL
    SELECT last, blockers FROM queue
    UNION ALL
    -- Who isn't told here is blocked as those of its queue say that name it.
    SELECT pid, blockers FROM checked WHERE blockers OPERATOR(pg_catalog.<>) expected
), in_transaction_wait AS MATERIALIZED (
    -- Both sides of a wait for a transaction: what else they hold tells the row or the table.
    SELECT pid FROM waiting WHERE locktype OPERATOR(pg_catalog.=) 'transactionid'
    UNION
    SELECT holder.pid FROM lock AS holder
    WHERE holder.granted AND holder.locktype OPERATOR(pg_catalog.=) 'transactionid'
      AND (holder.tag OPERATOR(pg_catalog.=) ANY (
          SELECT tag
          FROM waiting
          WHERE locktype OPERATOR(pg_catalog.=) 'transactionid'
      )) IS TRUE
), relevant AS (
    SELECT * FROM waited_for
    UNION ALL
    SELECT lock.* FROM lock
    WHERE lock.granted
      AND (lock.pid OPERATOR(pg_catalog.=) ANY (SELECT pid FROM in_transaction_wait)) IS TRUE
      AND (lock.locktype OPERATOR(pg_catalog.=) 'tuple'
           OR (lock.locktype OPERATOR(pg_catalog.=) 'relation'
               AND lock.mode OPERATOR(pg_catalog.=) ANY ('{RowShareLock,RowExclusiveLock}')))
      AND NOT (tag OPERATOR(pg_catalog.=) ANY (SELECT tag FROM waiting))
    UNION ALL
    -- DROP DATABASE and its like hold this while they wait for all others to leave the database, which the
    -- lock table doesn't show as a wait (CountOtherDBBackends, src/backend/storage/ipc/procarray.c).
    SELECT lock.* FROM lock
    WHERE lock.granted
      AND lock.locktype OPERATOR(pg_catalog.=) 'object'
      AND lock.classid OPERATOR(pg_catalog.=) 1262
      AND lock.objid OPERATOR(pg_catalog.<>) 0
      AND lock.mode OPERATOR(pg_catalog.=) ANY ('{ShareLock,AccessExclusiveLock}')
      AND NOT (tag OPERATOR(pg_catalog.=) ANY (SELECT tag FROM waiting))
), transaction_of AS (
    -- A prepared transaction's lock rows have no pid; its transaction id row says whose they are.
    SELECT lock.virtualtransaction, prepared.gid, prepared.prepared, prepared.ownerid, prepared.dbid
    FROM pg_catalog.pg_prepared_xact() AS prepared
    JOIN lock ON lock.pid OPERATOR(pg_catalog.=) 0
             AND lock.locktype OPERATOR(pg_catalog.=) 'transactionid'
             AND lock.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
             AND lock.transactionid OPERATOR(pg_catalog.=) prepared.transaction
), lock_list AS (
    SELECT relevant.pid,
           coalesce(transaction_of.gid, '') AS gid,
           pg_catalog.json_agg(pg_catalog.json_build_array(
               -- As bigint: JSON would have oid and xid in quotes.
               relevant.locktype, relevant.database::bigint, relevant.relation::bigint, relevant.page,
               relevant.tuple, relevant.virtualxid, relevant.transactionid::pg_catalog.text::bigint,
               relevant.classid::bigint, relevant.objid::bigint,
               relevant.objsubid, relevant.virtualtransaction, relevant.mode, relevant.granted,
               pg_catalog.date_part('epoch', relevant.waitstart)
           )) AS locks
    FROM relevant
    LEFT JOIN transaction_of ON relevant.pid OPERATOR(pg_catalog.=) 0
        AND transaction_of.virtualtransaction OPERATOR(pg_catalog.=) relevant.virtualtransaction
    GROUP BY 1, 2
), process AS (
    SELECT activity.pid, '' AS gid, activity.backend_start, activity.backend_type, activity.datid,
           activity.usesysid, activity.application_name, activity.client_addr::pg_catalog.text,
           activity.client_port, activity.state, activity.wait_event_type, activity.wait_event, activity.xact_start,
           activity.state_change, activity.query_start, activity.query, activity.leader_pid
    FROM activity
    UNION ALL
    -- Before 18 a session that is still connecting waits without being in the activity list.
    SELECT DISTINCT waiting.pid, '', NULL::pg_catalog.timestamptz, 'client backend', NULL::pg_catalog.oid,
           NULL::pg_catalog.oid, '', NULL, NULL::integer, 'starting', NULL, NULL,
           NULL::pg_catalog.timestamptz, NULL::pg_catalog.timestamptz, NULL::pg_catalog.timestamptz,
           '', NULL::integer
    FROM waiting
    WHERE waiting.pid OPERATOR(pg_catalog.<>) 0
      AND NOT (waiting.pid OPERATOR(pg_catalog.=) ANY (SELECT pid FROM activity))
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
               CASE WHEN held.rows OPERATOR(pg_catalog.<) (settings.locks OPERATOR(pg_catalog./) 2)
                    THEN held.rows
                    ELSE (SELECT pg_catalog.count(DISTINCT lock.tag) FROM lock WHERE NOT lock.fastpath) END
           ) AS numbers
    FROM (
        SELECT pg_catalog.current_setting('max_connections')::int AS connections,
               pg_catalog.current_setting('superuser_reserved_connections')::int
                   -- Since 16.
                   OPERATOR(pg_catalog.+)
                   coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0) AS reserved,
               pg_catalog.current_setting('max_locks_per_transaction')::bigint
                   OPERATOR(pg_catalog.*) (
                       pg_catalog.current_setting('max_connections')::int
                       OPERATOR(pg_catalog.+) pg_catalog.current_setting('max_prepared_transactions')::int
                   ) AS locks
    ) AS settings
    CROSS JOIN (SELECT pg_catalog.count(*) AS rows FROM lock WHERE NOT lock.fastpath) AS held
), shut AS (
    -- A new session reads catalogs (RelationCacheInitializePhase3, src/backend/utils/cache/relcache.c), and
    -- waits for whoever has locked one. Their OIDs are below 16384 (src/include/access/transam.h).
    SELECT pg_catalog.array_agg(DISTINCT database::bigint) AS databases
    FROM lock
    WHERE locktype OPERATOR(pg_catalog.=) 'relation'
        AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
        AND relation OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
)
-- An empty list is NULL: most sessions wait for nobody, and hundreds of empty lists take time to read.
-- date_part: extract has been numeric since 14, at several times the cost. Times and ages are in seconds.
SELECT process.pid,
       process.gid,
       pg_catalog.date_part('epoch', process.backend_start) AS backend_start,
       process.backend_type,
       process.datid,
       process.usesysid,
       process.application_name,
       process.client_addr,
       process.client_port,
       process.state,
       process.wait_event_type,
       process.wait_event,
       pg_catalog.date_part('epoch', clock.now OPERATOR(pg_catalog.-) process.xact_start) AS xact_age_s,
       pg_catalog.date_part('epoch', clock.now OPERATOR(pg_catalog.-) process.state_change) AS state_age_s,
       pg_catalog.date_part('epoch', clock.now OPERATOR(pg_catalog.-) process.query_start) AS query_age_s,
       process.query,
       process.leader_pid,
       blocked.blockers,
       CASE WHEN process.wait_event OPERATOR(pg_catalog.=) 'SafeSnapshot'
            THEN pg_catalog.pg_safe_snapshot_blocking_pids(process.pid) END AS safe_snapshot_blockers,
       lock_list.locks,
       -- Of the whole server; told once, with the session that asks.
       CASE WHEN process.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() THEN
           pg_catalog.json_build_array(
               pg_catalog.date_part('epoch', clock.now),
               pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()),
               (SELECT numbers FROM capacity),
               (SELECT databases FROM shut),
               -- Volatile, so computed after all else: what the statement has cost the server.
               pg_catalog.date_part(
                   'epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.statement_timestamp()
               )
           ) END AS server
FROM process
CROSS JOIN (SELECT pg_catalog.clock_timestamp() AS now) AS clock
LEFT JOIN blocked ON blocked.pid OPERATOR(pg_catalog.=) process.pid AND process.pid OPERATOR(pg_catalog.<>) 0
LEFT JOIN lock_list ON lock_list.pid OPERATOR(pg_catalog.=) process.pid
    AND lock_list.gid OPERATOR(pg_catalog.=) process.gid
ORDER BY process.pid, process.gid;
