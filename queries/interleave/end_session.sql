-- End this very session.
--
-- No row: it isn't the one that was meant, since its process has been given to another one.
-- Parameters: pid, started (as text).
SELECT pg_catalog.pg_terminate_backend(pid)
FROM pg_catalog.pg_stat_get_activity(%(pid)s)
WHERE CAST(backend_start AS pg_catalog.text) OPERATOR(pg_catalog.=) %(started)s;
