-- Which rows has a DELETE of many rows deleted?
--
-- All tids as one value, and the xmin of each as another.
WITH gone AS ($delete)
SELECT 0 AS n,
    pg_catalog.string_agg(pg_catalog.tidsend(tid), $between),
    pg_catalog.string_agg(pg_catalog.xidsend(version), ''::pg_catalog.bytea),
    pg_catalog.date_part('epoch', pg_catalog.statement_timestamp())
FROM gone
