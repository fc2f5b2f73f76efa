-- Is this lease ours from now on? Not if another session of this database holds it.
-- Parameters: lease_key, name.
SELECT pg_catalog.pg_try_advisory_lock(
    %(lease_key)s::int, pg_catalog.hashtext(%(name)s::pg_catalog.text COLLATE pg_catalog."C")
) AS done;
