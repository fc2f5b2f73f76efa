-- Is there a schema in this database, or a database on this server, of this name?
--
-- Parameter: name.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_database
    WHERE datname::pg_catalog.text OPERATOR(pg_catalog.=) %(name)s::pg_catalog.text
) OR EXISTS (
    SELECT FROM pg_catalog.pg_namespace
    WHERE nspname::pg_catalog.text OPERATOR(pg_catalog.=) %(name)s::pg_catalog.text
) AS found;
