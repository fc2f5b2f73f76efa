-- What has this transaction made that a schema of a test's own isn't for?
--
-- A relation in another schema, or an extension in this one: the first of them. Temporary ones don't count.
-- Parameters: schema, xid (of the type xid8, as text).
SELECT pg_catalog.format('%%I.%%I', nspname, relname) AS what, false AS is_extension
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
WHERE pg_class.xmin OPERATOR(pg_catalog.=) %(xid)s::pg_catalog.xid8::pg_catalog.xid
  AND relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,S,f}'::pg_catalog.text[])
  AND relpersistence OPERATOR(pg_catalog.<>) 't'
  AND nspname OPERATOR(pg_catalog.<>) %(schema)s::pg_catalog.name
UNION ALL
SELECT extname::pg_catalog.text, true
FROM pg_catalog.pg_extension
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) extnamespace
WHERE pg_extension.xmin OPERATOR(pg_catalog.=) %(xid)s::pg_catalog.xid8::pg_catalog.xid
  AND nspname OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.name
LIMIT 1;
