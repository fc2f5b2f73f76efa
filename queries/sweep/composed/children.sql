-- Which rows refer to rows of a leaf by a foreign key?
--
-- Places of those referred to, leaves, tids, xmins, $columns: all of each as one value.
SELECT pg_catalog.string_agg(
        pg_catalog.int4send((named.n OPERATOR(pg_catalog.-) 1)::pg_catalog.int4), ''::pg_catalog.bytea
    ),
    pg_catalog.string_agg(pg_catalog.oidsend(c.tableoid), ''::pg_catalog.bytea),
    pg_catalog.string_agg(pg_catalog.tidsend(c.ctid), $between),
    pg_catalog.string_agg(pg_catalog.xidsend(c.xmin), ''::pg_catalog.bytea)
    $columns
FROM pg_catalog.unnest(%(tids)s::pg_catalog.tid[]) WITH ORDINALITY AS named (tid, n)
JOIN ONLY $leaf AS p ON p.ctid OPERATOR(pg_catalog.=) named.tid
JOIN $child AS c ON $refers
