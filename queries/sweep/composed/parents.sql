-- Which rows do rows of a leaf refer to by a foreign key?
--
-- Tids of those that refer, leaves, tids, xmins, $columns: all of each as one value. $tids: see children.sql.
SELECT pg_catalog.string_agg(pg_catalog.tidsend(c.ctid), $between),
    $leaves,
    pg_catalog.string_agg(pg_catalog.tidsend(p.ctid), $between),
    pg_catalog.string_agg(pg_catalog.xidsend(p.xmin), ''::pg_catalog.bytea)
    $columns
FROM ONLY $leaf AS c
JOIN $parent AS p ON $refers
WHERE c.ctid OPERATOR(pg_catalog.=) ANY ($tids)
