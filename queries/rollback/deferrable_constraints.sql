-- Which constraints of this database can be deferred, and which of them are so from the start?
--
-- Those of partitions follow their parents'. A name is that of several constraints where several tables of a
-- schema have one each: SET CONSTRAINTS then means all of them.
SELECT namespace.nspname::pg_catalog.text AS schema,
       con.conname::pg_catalog.text AS name,
       pg_catalog.bool_or(con.condeferred) AS deferred
FROM pg_catalog.pg_constraint AS con
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) con.connamespace
WHERE con.condeferrable
  AND con.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid
  AND pg_catalog.has_schema_privilege(con.connamespace, 'USAGE')
  AND NOT pg_catalog.pg_is_other_temp_schema(con.connamespace)
GROUP BY 1, 2
ORDER BY 1, 2;
