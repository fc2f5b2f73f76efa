-- Which of these functions may write?
--
-- Those that are volatile, and neither the server's own nor in C.
SELECT DISTINCT proname::pg_catalog.text AS name
FROM pg_catalog.pg_proc
WHERE proname OPERATOR(pg_catalog.=) ANY (%(names)s::pg_catalog.name[])
    AND provolatile OPERATOR(pg_catalog.=) 'v'
    AND prolang OPERATOR(pg_catalog.<>) ALL ('{12,13}'::pg_catalog.oid[])
    AND oid OPERATOR(pg_catalog.>=) 16384;
