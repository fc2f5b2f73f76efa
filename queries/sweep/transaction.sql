-- Which transaction is this, and do no triggers fire in it?
--
-- `id`: by the 32 bits that rows have. Without triggers, foreign keys are not kept either.
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8
           OPERATOR(pg_catalog.&) 4294967295::pg_catalog.int8 AS id,
       pg_catalog.current_setting('session_replication_role')
           OPERATOR(pg_catalog.=) 'replica' AS skips_triggers;
