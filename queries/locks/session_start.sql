-- When did the session with this pid begin?
--
-- No row: there is none.
-- Parameter: pid.
SELECT backend_start FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer);
