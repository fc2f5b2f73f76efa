-- Who does what, longest first?
--
-- For a person: `psql -f queries/activity.sql`.
-- One row per session but ours, idle ones last. Left out: parallel workers (their leader stands for them) and
-- processes of the server that have nothing to do. `for_s`: how long the statement runs, the transaction is open
-- without one, or the session is idle. `behind`: whom pg_blocking_pids() names, 0 for a prepared transaction.
-- "hidden" is what our role may not see without pg_monitor (then `for_s` is empty).
WITH activity AS MATERIALIZED (
    SELECT * FROM pg_catalog.pg_stat_get_activity(NULL)
), lock AS MATERIALIZED (
    SELECT pid, locktype, database, relation, mode, granted
    FROM pg_catalog.pg_lock_status()
), shut AS MATERIALIZED (
    -- A name is read from a catalog of all databases, which may be locked: then its OID stands for it.
    SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 AS names
    FROM lock
    WHERE locktype OPERATOR(pg_catalog.=) 'relation'
        AND database OPERATOR(pg_catalog.=) 0
        AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
), blocked AS MATERIALIZED (
    SELECT waiting.pid, pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(waiting.pid), ' ') AS behind
    FROM (
        SELECT DISTINCT coalesce(activity.leader_pid, lock.pid) AS pid
        FROM lock LEFT JOIN activity ON activity.pid OPERATOR(pg_catalog.=) lock.pid
        WHERE NOT lock.granted
    ) AS waiting
), session AS MATERIALIZED (
    SELECT activity.pid,
           activity.application_name,
           CASE WHEN shut.names OR activity.usesysid IS NULL
                THEN activity.usesysid::pg_catalog.text
                ELSE pg_catalog.pg_get_userbyid(activity.usesysid)::pg_catalog.text END AS role,
           CASE WHEN shut.names OR activity.datid IS NULL
                THEN activity.datid::pg_catalog.text
                -- 1262 is pg_database (src/include/catalog/pg_database.h).
                ELSE (pg_catalog.pg_identify_object(1262::pg_catalog.oid, activity.datid, 0)).identity
           END AS database,
           CASE WHEN activity.query OPERATOR(pg_catalog.=) '<insufficient privilege>'
                THEN 'hidden'
                ELSE coalesce(activity.state, activity.backend_type) END AS state,
           coalesce(activity.state OPERATOR(pg_catalog.=) 'idle', false) AS is_idle,
           pg_catalog.round(
               extract(
                   epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
                       CASE WHEN activity.state OPERATOR(pg_catalog.=) 'active' THEN activity.query_start
                            WHEN activity.state OPERATOR(pg_catalog.=) 'idle' THEN activity.state_change
                            ELSE coalesce(activity.xact_start, activity.state_change) END
               )::numeric, 1
           ) AS for_s,
           pg_catalog.concat_ws(': ', activity.wait_event_type, activity.wait_event) AS waits_for,
           coalesce(blocked.behind, '') AS behind,
           activity.query
    FROM activity
    CROSS JOIN shut
    LEFT JOIN blocked ON blocked.pid OPERATOR(pg_catalog.=) activity.pid
    WHERE activity.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
        AND activity.leader_pid IS NULL
        AND (activity.usesysid IS NOT NULL OR activity.datid IS NOT NULL)
        AND coalesce(activity.wait_event_type, '') OPERATOR(pg_catalog.<>) 'Activity'
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
        SELECT query AS foreign_text FROM session UNION SELECT role FROM session
        UNION SELECT database FROM session
    ) AS raw
    CROSS JOIN LATERAL pg_catalog.regexp_split_to_table(
        pg_catalog.regexp_replace(raw.foreign_text, E'[ \\t\\r\\n]+', ' ', 'g'), ''
    ) WITH ORDINALITY AS split (letter, place)
    CROSS JOIN LATERAL (SELECT pg_catalog.ascii(letter) AS code) AS numbered
    WHERE letter OPERATOR(pg_catalog.<>) ''
    GROUP BY raw.foreign_text
)
SELECT session.pid,
       session.application_name AS "test or application",
       role.plain AS "user",
       database.plain AS database,
       session.state,
       session.for_s,
       session.waits_for,
       session.behind,
       coalesce(statement.plain, '') AS statement
FROM session
LEFT JOIN shown AS role ON role.foreign_text OPERATOR(pg_catalog.=) session.role
LEFT JOIN shown AS database ON database.foreign_text OPERATOR(pg_catalog.=) session.database
LEFT JOIN shown AS statement ON statement.foreign_text OPERATOR(pg_catalog.=) session.query
ORDER BY session.is_idle, session.for_s DESC NULLS LAST, session.pid;
