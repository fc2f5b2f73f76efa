-- Which of these rows of a leaf exist, and what is in some of their columns?
--
-- $columns of each.
SELECT $columns
FROM ONLY $leaf AS c
WHERE c.ctid OPERATOR(pg_catalog.=) ANY (%(tids)s::pg_catalog.tid[])
    AND c.tableoid OPERATOR(pg_catalog.=) $oid::pg_catalog.oid
$locking
