-- What are these relations of this database called?
--
-- As one would write them here, with their schema unless that is `public`.
-- Parameter: oids.
SELECT class.oid::bigint AS oid,
       CASE WHEN namespace.nspname OPERATOR(pg_catalog.=) 'public' THEN pg_catalog.quote_ident(class.relname)
            ELSE pg_catalog.concat(
                pg_catalog.quote_ident(namespace.nspname), '.', pg_catalog.quote_ident(class.relname)
            ) END AS name
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) class.relnamespace
WHERE class.oid OPERATOR(pg_catalog.=) ANY (%(oids)s::pg_catalog.oid[]);
