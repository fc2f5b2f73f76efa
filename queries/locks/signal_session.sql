-- Cancel the statement of this very session, or end the session.
--
-- No row: it isn't the one that was meant.
-- The identity is checked where the signal is sent, so that a pid which has been given to another session
-- is left alone, and so are our own sessions. A role that may not see when a session began compares what
-- it can see. A statement is cancelled only while there is one, and only the one that was meant if
-- `query_start` says which (it comes as a time minus an age: equal to less than a millisecond).
-- A session is ended for the transaction that was seen, or for whom it still holds up, if any of these is given:
-- once it has committed, it may be another test's.
-- So is the server: on another one, or the same after a restart, the pid is anybody's.
-- Parameters: server_started, how ('cancel' or 'terminate'), pid, backend_start, user_oid, database_oid, application_name,
-- own_name, query_start, xact_start, held_up (pids); NULL for what isn't known.
SELECT CASE
           WHEN %(how)s::pg_catalog.text OPERATOR(pg_catalog.=) 'cancel' THEN pg_catalog.pg_cancel_backend(pid)
           WHEN %(how)s::pg_catalog.text OPERATOR(pg_catalog.=) 'terminate'
               THEN pg_catalog.pg_terminate_backend(pid)
       END AS signalled,
       query_start
FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer)
WHERE pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
  AND (%(server_started)s::pg_catalog.timestamptz IS NULL
       OR pg_catalog.pg_postmaster_start_time()
           OPERATOR(pg_catalog.=) %(server_started)s::pg_catalog.timestamptz)
  AND coalesce(application_name, '') OPERATOR(pg_catalog.<>) %(own_name)s::pg_catalog.text
  AND CASE
          WHEN %(backend_start)s::pg_catalog.timestamptz IS NOT NULL
              THEN backend_start OPERATOR(pg_catalog.=) %(backend_start)s::pg_catalog.timestamptz
          ELSE backend_start IS NULL
               AND usesysid OPERATOR(pg_catalog.=) %(user_oid)s::pg_catalog.oid
               AND coalesce(datid, 0::pg_catalog.oid)
                   OPERATOR(pg_catalog.=) coalesce(%(database_oid)s::pg_catalog.oid, 0::pg_catalog.oid)
               AND coalesce(application_name, '') OPERATOR(pg_catalog.=) %(application_name)s::pg_catalog.text
      END
  AND CASE
          WHEN %(how)s::pg_catalog.text OPERATOR(pg_catalog.<>) 'terminate' THEN true
          WHEN %(xact_start)s::pg_catalog.timestamptz IS NULL
               AND %(held_up)s::integer[] OPERATOR(pg_catalog.=) '{}' THEN true
          WHEN pg_catalog.abs(extract(epoch FROM xact_start
                   OPERATOR(pg_catalog.-) %(xact_start)s::pg_catalog.timestamptz))
                   OPERATOR(pg_catalog.<) 0.001 THEN true
          ELSE EXISTS (
              SELECT
              FROM pg_catalog.unnest(%(held_up)s::integer[]) AS waiting (waiter)
              WHERE pid OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(waiter))
                 OR pid OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_safe_snapshot_blocking_pids(waiter))
          )
      END
  AND (
      %(how)s::pg_catalog.text OPERATOR(pg_catalog.=) 'terminate'
      OR coalesce(state, '') OPERATOR(pg_catalog.!~) '^idle'
         AND (
             %(query_start)s::pg_catalog.timestamptz IS NULL
             OR query_start IS NULL
             OR pg_catalog.abs(extract(epoch FROM query_start
                 OPERATOR(pg_catalog.-) %(query_start)s::pg_catalog.timestamptz))
                 OPERATOR(pg_catalog.<) 0.001
         )
  );
