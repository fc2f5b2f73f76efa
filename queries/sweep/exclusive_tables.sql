-- Which tables has this transaction to itself, as TRUNCATE and DROP TABLE do, and what are their files now?
--
-- `is_gone`: it was dropped. `file`: 0 for what has none.
SELECT relation::bigint AS oid,
       pg_class.oid IS NULL AS is_gone,
       coalesce(relfilenode, 0)::bigint AS file,
       coalesce(pg_catalog.pg_relation_size(pg_class.oid), 0) AS bytes
FROM pg_catalog.pg_lock_status()
LEFT JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) relation
WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
    AND locktype OPERATOR(pg_catalog.=) 'relation'
    AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock';
