-- Release this lease.
--
-- False: it wasn't ours.
-- Parameters: lease_key, name.
SELECT pg_catalog.pg_advisory_unlock(
    %(lease_key)s::int, pg_catalog.hashtext(%(name)s::pg_catalog.text COLLATE pg_catalog."C")
) AS done;
