-- Where are rows of a leaf that this transaction may have changed or deleted?
--
-- Place, tid now or NULL.
-- By the chain that an UPDATE makes from each version to the next (currtid2, in tid.c, which fails for what is
-- beyond the end of the file: after a TRUNCATE).
SELECT named.n OPERATOR(pg_catalog.-) 1, c.ctid
FROM pg_catalog.unnest(%(tids)s::pg_catalog.tid[]) WITH ORDINALITY AS named (tid, n)
LEFT JOIN ONLY $leaf AS c ON c.ctid OPERATOR(pg_catalog.=)
    CASE WHEN (named.tid::pg_catalog.text::pg_catalog.point)[0] OPERATOR(pg_catalog.<)
            (pg_catalog.pg_relation_size($oid::pg_catalog.regclass)
                OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8)
        THEN pg_catalog.currtid2($oid::pg_catalog.regclass::pg_catalog.text, named.tid) END
