-- Which settings does this database have for all roles, by ALTER DATABASE … SET?
--
-- `name=value`, a list's value as it is to be written. What is kept there on its schema isn't told.
-- Parameter: database.
SELECT setting
FROM pg_catalog.pg_db_role_setting
JOIN pg_catalog.pg_database ON pg_database.oid OPERATOR(pg_catalog.=) setdatabase
CROSS JOIN LATERAL pg_catalog.unnest(setconfig) AS setting
WHERE setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid
  AND datname OPERATOR(pg_catalog.=) %(database)s::pg_catalog.name
  AND NOT pg_catalog.starts_with(setting, 'pgwatch.')
ORDER BY setting;
