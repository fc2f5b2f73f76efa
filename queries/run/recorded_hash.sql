-- Of which migrations is the schema of this database, as it was recorded?
--
-- `oid` is the database's, no row if it isn't there; `recorded` is NULL if nothing was recorded in it.
-- Parameters: database, setting.
SELECT pg_database.oid::bigint AS oid,
       (
           SELECT pg_catalog.substr(setting, pg_catalog.length(%(setting)s::pg_catalog.text) OPERATOR(pg_catalog.+) 2)
           FROM pg_catalog.pg_db_role_setting
           CROSS JOIN LATERAL pg_catalog.unnest(setconfig) AS setting
           WHERE setdatabase OPERATOR(pg_catalog.=) pg_database.oid
             AND setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid
             AND pg_catalog.split_part(setting, '=', 1) OPERATOR(pg_catalog.=) %(setting)s::pg_catalog.text
       ) AS recorded,
       pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.float8 AS server_started
FROM pg_catalog.pg_database
WHERE datname OPERATOR(pg_catalog.=) %(database)s::pg_catalog.name;
