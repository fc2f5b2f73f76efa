-- Which settings have been changed for this database, or for roles, by ALTER DATABASE or ALTER ROLE … SET?
--
-- Those for roles in all databases are in force in this one too. Values of customised settings (with a
-- dot in their name) aren't shown: applications keep secrets in them.
SELECT pg_catalog.concat_ws(
           ' ',
           CASE WHEN setrole OPERATOR(pg_catalog.<>) 0
                THEN 'ROLE ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(setrole)
                WHEN setdatabase OPERATOR(pg_catalog.=) 0 THEN 'ROLE ALL' END,
           CASE WHEN setdatabase OPERATOR(pg_catalog.<>) 0 AND setrole OPERATOR(pg_catalog.<>) 0 THEN 'IN' END,
           CASE WHEN setdatabase OPERATOR(pg_catalog.<>) 0
                THEN 'DATABASE ' OPERATOR(pg_catalog.||) pg_catalog.current_database() END
       ) OPERATOR(pg_catalog.||) ': ' OPERATOR(pg_catalog.||) pg_catalog.split_part(setting, '=', 1) AS name,
       CASE WHEN pg_catalog.split_part(setting, '=', 1) OPERATOR(pg_catalog.~~) '%.%' THEN 'value not shown'
            ELSE pg_catalog.concat(
                'SET ',
                pg_catalog.split_part(setting, '=', 1),
                ' = ',
                pg_catalog.substr(
                    setting,
                    pg_catalog.length(pg_catalog.split_part(setting, '=', 1)) OPERATOR(pg_catalog.+) 2
                )
            ) END AS detail
FROM pg_catalog.pg_db_role_setting
CROSS JOIN LATERAL pg_catalog.unnest(setconfig) AS setting
WHERE setdatabase OPERATOR(pg_catalog.=) ANY (
    ARRAY[0, (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))]
)
  -- Ours (`run --migrations-hash`).
  AND NOT pg_catalog.starts_with(setting, 'pgwatch.migrations_hash=')
ORDER BY name;
