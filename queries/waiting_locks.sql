-- Who waits for which lock, behind whom?
--
-- For a person: `psql -f queries/waiting_locks.sql`.
-- One row per waiter and blocker, the longest wait first. The blockers are the server's own word
-- (pg_blocking_pids): whoever holds the lock in a mode that conflicts, and whoever is ahead in the queue for it
-- with such a request. `blocker_has` tells which: the modes that it holds, and the one that it wants itself.
-- `waits_s`: since 14 how long for this lock, on 13 how long the statement runs. "hidden" is what our role may
-- not see without pg_monitor. A blocker with pid 0 is a prepared transaction, named as an application would be: if
-- several have the lock, each has a row, also those whose mode doesn't conflict.
WITH before_14 AS (
    -- `waitstart` came with 14: where the inner query has none, the name finds this one.
    SELECT NULL::pg_catalog.timestamptz AS waitstart
), activity AS MATERIALIZED (
    SELECT * FROM pg_catalog.pg_stat_get_activity(NULL)
), lock AS MATERIALIZED (
    -- A parallel worker waits, and holds, for its leader.
    SELECT coalesce(activity.leader_pid, seen.pid) AS leader, seen.*
    FROM before_14
    CROSS JOIN LATERAL (
        SELECT coalesce(pid, 0) AS pid, locktype, database, relation, page, tuple, virtualxid, transactionid,
               classid, objid, objsubid, virtualtransaction, mode, granted, waitstart,
               (locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
                objsubid)::pg_catalog.text AS tag
        FROM pg_catalog.pg_lock_status() AS status
        WHERE mode OPERATOR(pg_catalog.<>) 'SIReadLock'
    ) AS seen
    LEFT JOIN activity ON activity.pid OPERATOR(pg_catalog.=) seen.pid
), place AS MATERIALIZED (
    -- Relations have names only in their own database, and not while its catalogs are locked.
    SELECT own.datid,
           (SELECT pg_catalog.count(*) FROM lock
            WHERE locktype OPERATOR(pg_catalog.=) 'relation'
                AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
                AND relation OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
           ) OPERATOR(pg_catalog.=) 0 AS has_names
    FROM activity AS own
    WHERE own.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
), prepared AS (
    SELECT lock.virtualtransaction, transaction.gid
    FROM pg_catalog.pg_prepared_xact() AS transaction
    JOIN lock ON lock.pid OPERATOR(pg_catalog.=) 0
             AND lock.locktype OPERATOR(pg_catalog.=) 'transactionid'
             AND lock.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
             AND lock.transactionid OPERATOR(pg_catalog.=) transaction.transaction
), waiting AS MATERIALIZED (
    SELECT leader AS pid, tag, locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
           objsubid, pg_catalog.min(mode) AS mode, pg_catalog.min(waitstart) AS waitstart
    FROM lock
    WHERE NOT granted
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
), blocked AS MATERIALIZED (
    SELECT waiting.pid, waiting.tag, blocker.pid AS blocker
    FROM waiting
    CROSS JOIN LATERAL (
        SELECT DISTINCT named.pid
        FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(waiting.pid)) AS named (pid)
    ) AS blocker
), standing AS MATERIALIZED (
    -- What each has to do with the lock: one row per process, or per prepared transaction.
    SELECT lock.tag, lock.leader AS pid, prepared.gid,
           pg_catalog.concat_ws(
               ', ',
               'holds ' OPERATOR(pg_catalog.||)
                   pg_catalog.string_agg(DISTINCT lock.mode, ' ') FILTER (WHERE lock.granted),
               'queued for ' OPERATOR(pg_catalog.||)
                   pg_catalog.string_agg(DISTINCT lock.mode, ' ') FILTER (WHERE NOT lock.granted)
           ) AS has
    FROM lock
    LEFT JOIN prepared ON lock.pid OPERATOR(pg_catalog.=) 0
        AND prepared.virtualtransaction OPERATOR(pg_catalog.=) lock.virtualtransaction
    WHERE lock.tag OPERATOR(pg_catalog.=) ANY (SELECT tag FROM waiting)
    GROUP BY 1, 2, 3
), wait AS MATERIALIZED (
    SELECT waiting.pid,
           waiter.application_name,
           waiting.mode,
           CASE WHEN waiting.locktype OPERATOR(pg_catalog.=) 'relation'
                     OR waiting.locktype OPERATOR(pg_catalog.=) 'extend'
                     OR waiting.locktype OPERATOR(pg_catalog.=) 'page'
                     OR waiting.locktype OPERATOR(pg_catalog.=) 'tuple'
                THEN pg_catalog.concat_ws(
                    ' ',
                    waiting.locktype,
                    CASE WHEN place.has_names AND waiting.database OPERATOR(pg_catalog.=) place.datid
                         THEN waiting.relation::pg_catalog.regclass::pg_catalog.text
                         ELSE 'oid ' OPERATOR(pg_catalog.||) waiting.relation OPERATOR(pg_catalog.||)
                             ' of database oid ' OPERATOR(pg_catalog.||) waiting.database END,
                    '(' OPERATOR(pg_catalog.||) waiting.page
                        OPERATOR(pg_catalog.||) coalesce(',' OPERATOR(pg_catalog.||) waiting.tuple, '')
                        OPERATOR(pg_catalog.||) ')'
                )
                ELSE pg_catalog.concat_ws(
                    ' ', waiting.locktype, waiting.transactionid::pg_catalog.text, waiting.virtualxid,
                    waiting.classid::pg_catalog.text, waiting.objid::pg_catalog.text
                ) END AS lock,
           pg_catalog.round(
               extract(
                   epoch FROM pg_catalog.clock_timestamp()
                       OPERATOR(pg_catalog.-) coalesce(waiting.waitstart, waiter.query_start)
               )::numeric, 1
           ) AS waits_s,
           blocked.blocker,
           standing.gid,
           coalesce(blocker.application_name, '') AS blocker_application,
           coalesce(standing.has, '') AS blocker_has,
           CASE WHEN blocked.blocker OPERATOR(pg_catalog.=) 0 THEN 'prepared'
                WHEN blocker.query OPERATOR(pg_catalog.=) '<insufficient privilege>' THEN 'hidden'
                ELSE coalesce(blocker.state, blocker.backend_type, 'ended') END AS blocker_state,
           waiter.query,
           CASE WHEN blocker.query OPERATOR(pg_catalog.<>) '<insufficient privilege>'
                THEN blocker.query END AS blocker_query
    FROM blocked
    JOIN waiting ON waiting.pid OPERATOR(pg_catalog.=) blocked.pid
        AND waiting.tag OPERATOR(pg_catalog.=) blocked.tag
    CROSS JOIN place
    LEFT JOIN activity AS waiter ON waiter.pid OPERATOR(pg_catalog.=) blocked.pid
    LEFT JOIN activity AS blocker ON blocker.pid OPERATOR(pg_catalog.=) blocked.blocker
    LEFT JOIN standing ON standing.tag OPERATOR(pg_catalog.=) blocked.tag
        AND standing.pid OPERATOR(pg_catalog.=) blocked.blocker
), shown AS MATERIALIZED (
    -- Others' text: controls, format characters and breaks of lines as their code (`\x1b`), spaces folded.
    SELECT raw.foreign_text,
           pg_catalog.string_agg(
               CASE WHEN code OPERATOR(pg_catalog.<) 32
                         OR (code OPERATOR(pg_catalog.>=) 127 AND code OPERATOR(pg_catalog.<) 160
                             AND (pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'UTF8'
                                  OR pg_catalog.octet_length(letter) OPERATOR(pg_catalog.=) 1))
                    THEN E'\\x' OPERATOR(pg_catalog.||) pg_catalog.lpad(pg_catalog.to_hex(code), 2, '0')
                    -- Soft hyphen, bidi controls, zero width, variation selectors, tags (Unicode, Cf, Zl, Zp).
                    WHEN code OPERATOR(pg_catalog.=) ANY ('{173,1564,65279}'::int[])
                         OR (code OPERATOR(pg_catalog.>=) 8203 AND code OPERATOR(pg_catalog.<) 8208)
                         OR (code OPERATOR(pg_catalog.>=) 8232 AND code OPERATOR(pg_catalog.<) 8239)
                         OR (code OPERATOR(pg_catalog.>=) 8288 AND code OPERATOR(pg_catalog.<) 8304)
                         OR (code OPERATOR(pg_catalog.>=) 917504 AND code OPERATOR(pg_catalog.<) 917632)
                    THEN E'\\u' OPERATOR(pg_catalog.||) pg_catalog.lpad(pg_catalog.to_hex(code), 4, '0')
                    ELSE letter END,
               '' ORDER BY place
           ) AS plain
    FROM (
        SELECT query AS foreign_text FROM wait UNION SELECT blocker_query FROM wait
        UNION SELECT gid FROM wait UNION SELECT lock FROM wait
    ) AS raw
    CROSS JOIN LATERAL pg_catalog.regexp_split_to_table(
        pg_catalog.regexp_replace(raw.foreign_text, E'[ \\t\\r\\n]+', ' ', 'g'), ''
    ) WITH ORDINALITY AS split (letter, place)
    CROSS JOIN LATERAL (SELECT pg_catalog.ascii(letter) AS code) AS numbered
    WHERE letter OPERATOR(pg_catalog.<>) ''
    GROUP BY raw.foreign_text
)
SELECT wait.pid,
       wait.application_name AS "test or application",
       wait.waits_s,
       locked.plain AS lock,
       wait.mode AS wants,
       wait.blocker AS behind,
       coalesce(gid.plain, wait.blocker_application) AS "blocker's test or application",
       wait.blocker_has,
       wait.blocker_state,
       CASE WHEN wait.query OPERATOR(pg_catalog.=) '<insufficient privilege>'
            THEN 'hidden' ELSE coalesce(statement.plain, '') END AS statement,
       CASE WHEN wait.blocker_state OPERATOR(pg_catalog.=) 'hidden'
            THEN 'hidden' ELSE coalesce(blocking.plain, '') END AS blocker_statement
FROM wait
LEFT JOIN shown AS locked ON locked.foreign_text OPERATOR(pg_catalog.=) wait.lock
LEFT JOIN shown AS gid ON gid.foreign_text OPERATOR(pg_catalog.=) wait.gid
LEFT JOIN shown AS statement ON statement.foreign_text OPERATOR(pg_catalog.=) wait.query
LEFT JOIN shown AS blocking ON blocking.foreign_text OPERATOR(pg_catalog.=) wait.blocker_query
ORDER BY wait.waits_s DESC NULLS LAST, wait.pid, wait.blocker;
