-- Which rows refer to rows of a leaf by a foreign key?
--
-- Place of the one referred to, leaf, tid, $columns.
SELECT named.n OPERATOR(pg_catalog.-) 1, c.tableoid, c.ctid$columns
FROM pg_catalog.unnest(%(tids)s::pg_catalog.tid[]) WITH ORDINALITY AS named (tid, n)
JOIN ONLY $leaf AS p ON p.ctid OPERATOR(pg_catalog.=) named.tid
JOIN $child AS c ON $refers
