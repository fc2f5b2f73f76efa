-- What are the databases called, and which of them accept connections?
SELECT oid, datname, datallowconn FROM pg_catalog.pg_database;
