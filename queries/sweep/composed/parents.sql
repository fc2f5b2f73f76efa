-- Which rows do rows of a leaf refer to by a foreign key?
--
-- Places of those that refer, leaves, tids, xmins, $columns: all of each as one value.
SELECT pg_catalog.string_agg(
        pg_catalog.int4send((named.n OPERATOR(pg_catalog.-) 1)::pg_catalog.int4), ''::pg_catalog.bytea
    ),
    pg_catalog.string_agg(pg_catalog.oidsend(p.tableoid), ''::pg_catalog.bytea),
    pg_catalog.string_agg(pg_catalog.tidsend(p.ctid), $between),
    pg_catalog.string_agg(pg_catalog.xidsend(p.xmin), ''::pg_catalog.bytea)
    $columns
FROM pg_catalog.unnest(%(tids)s::pg_catalog.tid[]) WITH ORDINALITY AS named (tid, n)
JOIN ONLY $leaf AS c ON c.ctid OPERATOR(pg_catalog.=) named.tid
JOIN $parent AS p ON $refers
