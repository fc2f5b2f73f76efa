-- Which tables of this database are unlogged, so that a crash empties them?
SELECT nspname OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) relname AS name,
       'owner ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(relowner) AS detail
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
WHERE relpersistence OPERATOR(pg_catalog.=) 'u' AND relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m}')
ORDER BY nspname, relname;
