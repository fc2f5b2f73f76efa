-- Which databases and roles have a connection limit of their own (CONNECTION LIMIT), and how much of it is used?
--
-- Superusers don't count against it, nor are they held up by it (manual, CREATE DATABASE, CREATE ROLE).
WITH client AS (
    SELECT datid, usesysid
    FROM pg_catalog.pg_stat_get_activity(NULL)
    WHERE backend_type OPERATOR(pg_catalog.=) 'client backend'
       OR (backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL)
)
SELECT 'database' AS kind, datname::pg_catalog.text AS name, datconnlimit AS most,
       (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM client
        WHERE client.datid OPERATOR(pg_catalog.=) pg_database.oid) AS used
FROM pg_catalog.pg_database
WHERE datconnlimit OPERATOR(pg_catalog.>=) 0
UNION ALL
SELECT 'role', rolname::pg_catalog.text, rolconnlimit,
       (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM client
        WHERE client.usesysid OPERATOR(pg_catalog.=) pg_roles.oid)
FROM pg_catalog.pg_roles
WHERE rolconnlimit OPERATOR(pg_catalog.>=) 0 AND NOT rolsuper
ORDER BY 1, 2;
