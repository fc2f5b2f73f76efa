-- How large is a table, and how many multixact ids are there that its rows can have been locked by?
--
-- Parameter: oid. `bytes` is NULL if the table is gone. A row's xmax is a multixact's id, or else a
-- transaction's; one whose mxid_age() isn't between 1 and `multixacts` can't be a multixact's any more.
SELECT pg_catalog.pg_relation_size(class.oid, 'main') AS bytes,
       pg_catalog.mxid_age(class.relminmxid) AS multixacts
FROM pg_catalog.pg_class AS class
WHERE class.oid OPERATOR(pg_catalog.=) %(oid)s::pg_catalog.oid
    AND class.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}');
