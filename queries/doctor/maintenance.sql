-- Is there a database `postgres`, and may our role connect to it?
SELECT datallowconn AS open, pg_catalog.has_database_privilege(oid, 'CONNECT') AS permitted
FROM pg_catalog.pg_database
WHERE datname OPERATOR(pg_catalog.=) 'postgres';
