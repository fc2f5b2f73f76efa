-- What does this session do or wait for, and who is it?
--
-- No row: the server doesn't know the session.
SELECT application_name, state, wait_event_type, wait_event
FROM pg_catalog.pg_stat_get_activity(%(pid)s);
