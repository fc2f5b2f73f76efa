-- Which of these rows of a leaf exist, and in which version?
--
-- All tids as one value, and the xmin of each as another.
SELECT pg_catalog.string_agg(pg_catalog.tidsend(tid), $between),
    pg_catalog.string_agg(pg_catalog.xidsend(version), ''::pg_catalog.bytea)
FROM ($rows) AS found
