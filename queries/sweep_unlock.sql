-- Is the advisory lock of this sweep free for the next one?
--
-- Ending the session frees it too, but only once the server has noticed: a sweep that follows would run into it.
SELECT pg_catalog.pg_advisory_unlock_all();
