-- Are we the only sweep of this database from now on?
--
-- Parameter: lock_key.
SELECT pg_catalog.pg_try_advisory_lock(%(lock_key)s::bigint) AS ours;
