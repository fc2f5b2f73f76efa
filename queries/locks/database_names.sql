-- What are the databases called, which of them accept connections, and which of them from our role?
SELECT oid, datname, datallowconn, pg_catalog.has_database_privilege(oid, 'CONNECT') AS may_connect
FROM pg_catalog.pg_database;
