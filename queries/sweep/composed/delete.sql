-- Delete these rows of a leaf, which is number $number among several.
--
-- What went: that number, tid, xmin; when the statement began (epoch) comes after it.
DELETE FROM $named AS c
WHERE c.ctid OPERATOR(pg_catalog.=) ANY (%(tids_$number)s::pg_catalog.tid[])
    AND c.tableoid OPERATOR(pg_catalog.=) $oid::pg_catalog.oid
RETURNING $number AS n, c.ctid AS tid, c.xmin AS version
