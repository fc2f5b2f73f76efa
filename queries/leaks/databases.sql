-- Which databases are there that tests could have used, and which of them are templates?
SELECT datname AS name, datistemplate AS is_template, datallowconn AS allows_connections
FROM pg_catalog.pg_database
ORDER BY datname;
