-- Which rows refer to rows of a leaf by a foreign key?
--
-- Tids of those referred to, leaves, tids, xmins, $columns: all of each as one value.
-- $tids is a subquery where the other table is a single one: then the planner doesn't know how many there are,
-- takes them for few, and fetches each by its place and those it leads to by the key's index. Told of 60,000, it
-- reads both tables whole, and builds a hash of one (four times the processor time). Of partitions each lookup
-- may have to ask all, so there it is told.
SELECT pg_catalog.string_agg(pg_catalog.tidsend(p.ctid), $between),
    $leaves,
    pg_catalog.string_agg(pg_catalog.tidsend(c.ctid), $between),
    pg_catalog.string_agg(pg_catalog.xidsend(c.xmin), ''::pg_catalog.bytea)
    $columns
FROM ONLY $leaf AS p
JOIN $child AS c ON $refers
WHERE p.ctid OPERATOR(pg_catalog.=) ANY ($tids)
