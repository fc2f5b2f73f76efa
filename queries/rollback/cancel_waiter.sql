-- Cancel the statement of a session, if it still waits for another one.
--
-- No row: it doesn't, so nothing is cancelled.
-- Parameters: waiter, blocker.
SELECT pg_catalog.pg_cancel_backend(waiter.pid) AS done
FROM (SELECT %(waiter)s::int AS pid) AS waiter
WHERE %(blocker)s::int OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(waiter.pid));
