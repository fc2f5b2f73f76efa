-- Was this very session told to cancel its statement, or to end? No row: it isn't the one that was meant.
--
-- The identity is checked where the signal is sent, so that a pid which has been given to another session
-- is left alone, and so are our own sessions. A role that may not see when a session began compares what
-- it can see. A statement is cancelled only while there is one, and only the one that was meant if
-- `query_start` says which (it comes as a time minus an age: equal to less than a millisecond).
-- So is the server: on another one, or the same after a restart, the pid is anybody's.
-- Parameters: server_started, how ('cancel' or 'terminate'), pid, backend_start, user_oid, database_oid, application_name,
-- own_name, query_start; NULL for what isn't known.
SELECT CASE %(how)s::text
           WHEN 'cancel' THEN pg_catalog.pg_cancel_backend(pid)
           WHEN 'terminate' THEN pg_catalog.pg_terminate_backend(pid)
       END AS signalled,
       query_start
FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer)
WHERE pid <> pg_catalog.pg_backend_pid()
  AND (%(server_started)s::timestamptz IS NULL
       OR pg_catalog.pg_postmaster_start_time() = %(server_started)s::timestamptz)
  AND coalesce(application_name, '') <> %(own_name)s::text
  AND CASE
          WHEN %(backend_start)s::timestamptz IS NOT NULL THEN backend_start = %(backend_start)s::timestamptz
          ELSE backend_start IS NULL
               AND usesysid = %(user_oid)s::oid
               AND nullif(datid, 0::oid) IS NOT DISTINCT FROM %(database_oid)s::oid
               AND coalesce(application_name, '') = %(application_name)s::text
      END
  AND (
      %(how)s::text = 'terminate'
      OR coalesce(state, '') !~ '^idle'
         AND (
             %(query_start)s::timestamptz IS NULL
             OR query_start IS NULL
             OR abs(extract(epoch FROM query_start - %(query_start)s::timestamptz)) < 0.001
         )
  );
