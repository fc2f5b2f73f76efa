-- Release every advisory lock of this session: the sweep's and its leases.
--
-- Ending the session releases them too, but only once the server has noticed: a sweep that follows would run into it.
SELECT pg_catalog.pg_advisory_unlock_all();
