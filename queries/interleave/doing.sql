-- What does this session do or wait for, who is it, and when did it begin?
--
-- No row: the server doesn't know the session.
SELECT application_name, state, wait_event_type, wait_event, CAST(backend_start AS pg_catalog.text)
FROM pg_catalog.pg_stat_get_activity(%(pid)s);
