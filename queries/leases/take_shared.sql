-- Take this lease together with others, unless another session of this database holds it alone.
--
-- False: another does.
-- Parameters: lease_key, name.
SELECT pg_catalog.pg_try_advisory_lock_shared(
    %(lease_key)s::int, pg_catalog.hashtext(%(name)s::pg_catalog.text COLLATE pg_catalog."C")
) AS done;
