-- Set these sequences to where they were.
--
-- A value of NULL: to their start.
-- Parameters: oids, last_values, starts.
SELECT pg_catalog.count(pg_catalog.setval(oid::pg_catalog.regclass, coalesce(value, start), value IS NOT NULL))
FROM ROWS FROM (
    pg_catalog.unnest(%(oids)s::pg_catalog.oid[]),
    pg_catalog.unnest(%(last_values)s::bigint[]),
    pg_catalog.unnest(%(starts)s::bigint[])
) AS sequence (oid, value, start);
