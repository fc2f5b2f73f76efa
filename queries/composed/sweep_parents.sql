-- Which rows do rows of a leaf refer to by a foreign key?
--
-- Place of the one that refers, leaf, tid, $columns.
SELECT named.n OPERATOR(pg_catalog.-) 1, p.tableoid, p.ctid$columns
FROM pg_catalog.unnest(%(tids)s::pg_catalog.tid[]) WITH ORDINALITY AS named (tid, n)
JOIN ONLY $leaf AS c ON c.ctid OPERATOR(pg_catalog.=) named.tid
JOIN $parent AS p ON $refers
