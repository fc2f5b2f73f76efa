-- End these sessions.
--
-- Parameter: pids.
SELECT pg_catalog.bool_and(pg_catalog.pg_terminate_backend(pid))
FROM pg_catalog.unnest(%(pids)s::int[]) AS ended (pid);
