-- Take the advisory lock of a sweep of this database.
--
-- False: another sweep has it.
-- Parameter: lock_key.
SELECT pg_catalog.pg_try_advisory_lock(%(lock_key)s::bigint) AS ours;
