-- Which transaction is this, and do no triggers fire in it?
--
-- `id`: by the 32 bits that rows have. Without triggers, foreign keys are not kept either. `has_exclusive`:
-- whether it has a table to itself, as TRUNCATE does; only if that is asked for (`of_triggers`).
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8
           OPERATOR(pg_catalog.&) 4294967295::pg_catalog.int8 AS id,
       pg_catalog.current_setting('session_replication_role')
           OPERATOR(pg_catalog.=) 'replica' AS skips_triggers,
       CASE WHEN %(of_triggers)s THEN EXISTS (
           SELECT FROM pg_catalog.pg_lock_status()
           WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
               AND locktype OPERATOR(pg_catalog.=) 'relation'
               AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
       ) ELSE false END AS has_exclusive;
