-- What are these relations, and is something of them checked only at COMMIT?
SELECT CAST(class.oid AS bigint), class.relkind,
       pg_catalog.format('%%I.%%I', nspname, relname),
       EXISTS (
           SELECT FROM pg_catalog.pg_trigger
           WHERE tgrelid OPERATOR(pg_catalog.=) class.oid AND tgdeferrable
       ) AS is_deferrable
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) class.relnamespace
WHERE class.oid OPERATOR(pg_catalog.=) ANY (CAST(%(oids)s AS pg_catalog.oid[]));
