-- Which rows of a leaf refer to no row, by a foreign key?
--
-- Of some that this transaction may have changed, by the place that they had before; the place in that list.
SELECT named.n OPERATOR(pg_catalog.-) 1
FROM pg_catalog.unnest(%(tids)s::pg_catalog.tid[]) WITH ORDINALITY AS named (tid, n)
JOIN ONLY $leaf AS c ON c.ctid OPERATOR(pg_catalog.=)
    CASE WHEN (named.tid::pg_catalog.text::pg_catalog.point)[0] OPERATOR(pg_catalog.<)
            (pg_catalog.pg_relation_size($oid::pg_catalog.regclass)
                OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8)
        THEN pg_catalog.currtid2($oid::pg_catalog.regclass::pg_catalog.text, named.tid) END
WHERE $all_set AND NOT EXISTS (SELECT FROM $parent AS p WHERE $refers)
