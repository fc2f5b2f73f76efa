-- Which partial indexes for leak counts are there, on what, valid, how large, and may they be dropped?
--
-- One row per index that `leaks index --create` has made: its name begins so, and its only key is the constant
-- true, for some rows. Others may have given theirs such a name. %(locked)s: oids of relations that are locked
-- just now, whose size can't be asked for without waiting.
SELECT pg_index.indexrelid::bigint AS oid,
       pg_index.indrelid::bigint AS table_oid,
       namespace.nspname AS schema,
       heap.relname AS table,
       pg_class.relname AS name,
       indisvalid AND indisready AS valid,
       CASE
           WHEN pg_class.oid OPERATOR(pg_catalog.=) ANY (%(locked)s::bigint[]::pg_catalog.oid[])
               OR heap.oid OPERATOR(pg_catalog.=) ANY (%(locked)s::bigint[]::pg_catalog.oid[])
            THEN pg_class.relpages::bigint
                OPERATOR(pg_catalog.*) pg_catalog.current_setting('block_size')::bigint
            -- NULL if it is gone by now.
            ELSE coalesce(pg_catalog.pg_relation_size(pg_class.oid), 0) END AS bytes,
       pg_catalog.pg_get_userbyid(pg_class.relowner) AS owner,
       pg_catalog.pg_has_role(pg_class.relowner, 'USAGE') AS owned
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_index ON pg_index.indexrelid OPERATOR(pg_catalog.=) pg_class.oid AND indpred IS NOT NULL
JOIN pg_catalog.pg_class AS heap ON heap.oid OPERATOR(pg_catalog.=) pg_index.indrelid
    AND heap.relpersistence OPERATOR(pg_catalog.<>) 't'
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) heap.relnamespace
WHERE pg_class.relkind OPERATOR(pg_catalog.=) 'i'
  AND pg_class.relname OPERATOR(pg_catalog.~~) 'pgwatch\_leak\_%%'
  AND NOT indisunique AND indnatts OPERATOR(pg_catalog.=) 1 AND indkey[0] OPERATOR(pg_catalog.=) 0
  -- As it is stored (16 is boolean's oid): writing it as SQL could wait for the table.
  AND indexprs::pg_catalog.text OPERATOR(pg_catalog.~~) '({CONST :consttype 16 %%'
ORDER BY namespace.nspname, heap.relname, pg_class.relname;
