-- Do the same sessions still wait, for the same locks and behind the same others? Has any session changed at all?
--
-- One row of two fingerprints, for looks in between polls of `locks.sql`, which sends hundreds of rows. That of
-- the waits is another one once a wait has begun or ended, has other blockers, or one of its sessions has
-- another state or statement; NULL where the lock table doesn't tell all waits: while somebody wants a database
-- for himself, or waits for a safe snapshot. That of the sessions, if asked for, is the same as long as none has
-- come, gone or begun anything.
WITH before_14 AS (
    -- `waitstart` came with 14: where the inner query has none, the name finds this one.
    SELECT NULL::pg_catalog.timestamptz AS waitstart
), lock AS MATERIALIZED (
    SELECT seen.*
    FROM before_14
    CROSS JOIN LATERAL (
        SELECT status.pid, virtualtransaction, mode, granted, waitstart,
               (locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
                objsubid)::pg_catalog.text AS tag
        FROM pg_catalog.pg_lock_status() AS status
        WHERE NOT granted
           OR (locktype OPERATOR(pg_catalog.=) 'object'
               AND classid OPERATOR(pg_catalog.=) 1262
               AND objid OPERATOR(pg_catalog.<>) 0
               AND mode OPERATOR(pg_catalog.=) ANY ('{ShareLock,AccessExclusiveLock}'))
    ) AS seen
), activity AS MATERIALIZED (
    SELECT * FROM pg_catalog.pg_stat_get_activity(NULL)
), blocked AS MATERIALIZED (
    SELECT leader AS pid, pg_catalog.pg_blocking_pids(leader) AS blockers
    FROM (
        SELECT DISTINCT coalesce(activity.leader_pid, request.pid) AS leader
        FROM (
            -- Of a long queue for the first ones: it goes through the queue for each.
            SELECT pid, pg_catalog.row_number() OVER (PARTITION BY tag ORDER BY waitstart, pid) AS place
            FROM lock
            WHERE NOT granted
        ) AS request
        LEFT JOIN activity ON activity.pid OPERATOR(pg_catalog.=) request.pid
        WHERE request.place OPERATOR(pg_catalog.<=) 32
    ) AS leaders
), involved AS MATERIALIZED (
    SELECT pid FROM blocked
    UNION
    SELECT pg_catalog.unnest(blockers[1:32]) FROM blocked
)
SELECT CASE
           WHEN EXISTS (SELECT FROM lock WHERE granted)
             OR EXISTS (SELECT FROM activity WHERE wait_event OPERATOR(pg_catalog.=) 'SafeSnapshot')
           THEN NULL
           ELSE pg_catalog.hashtextextended(
               pg_catalog.concat_ws(
                   ',',
                   (SELECT pg_catalog.string_agg(
                               pg_catalog.concat_ws(
                                   ' ', pid, virtualtransaction, mode, extract(epoch FROM waitstart), tag
                               ), ','
                               ORDER BY pid, tag, mode
                           ) FROM lock),
                   (SELECT pg_catalog.string_agg(
                               pg_catalog.concat_ws(' ', pid, pg_catalog.hash_array_extended(blockers, 0)), ','
                               ORDER BY pid
                           ) FROM blocked),
                   (SELECT pg_catalog.string_agg(
                               pg_catalog.concat_ws(' ', pid, state, pg_catalog.hashtextextended(query, 0)), ','
                               ORDER BY pid
                           )
                    FROM activity
                    WHERE (pid OPERATOR(pg_catalog.=) ANY (SELECT pid FROM involved)) IS TRUE)
               ),
               0
           )
       END AS waits,
       CASE
           WHEN %(sessions)s::pg_catalog.bool
           THEN (
               SELECT pg_catalog.hashtextextended(
                   pg_catalog.concat(
                       pg_catalog.string_agg(
                           CASE
                               -- Of ours, only whether they are there: what they do is to look, as this one does.
                               WHEN application_name OPERATOR(pg_catalog.=) 'pgwatch-tests'
                               THEN (pid, backend_start)::pg_catalog.text
                               ELSE (pid, datid, usesysid, application_name, state, query, xact_start,
                                     query_start, state_change, backend_start, client_addr, client_port,
                                     backend_type, leader_pid,
                                     -- What the server's own processes wait for changes all the time.
                                     CASE WHEN coalesce(backend_type, '')
                                              OPERATOR(pg_catalog.=) ANY ('{"","client backend"}')
                                          THEN pg_catalog.concat_ws(' ', wait_event_type, wait_event) END
                                    )::pg_catalog.text
                           END,
                           ','
                           ORDER BY pid
                       ),
                       (SELECT pg_catalog.string_agg(gid, ',' ORDER BY gid) FROM pg_catalog.pg_prepared_xact())
                   ),
                   0
               )
               FROM activity
               WHERE pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
           )
       END AS sessions,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8 AS sampled_at,
       extract(
           epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.statement_timestamp()
       )::pg_catalog.float8 AS spent_s;
