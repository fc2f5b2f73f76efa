-- Which settings have been changed for this database, or for roles, by ALTER DATABASE or ALTER ROLE … SET?
--
-- Those for roles in all databases are in force in this one too. Values of customised settings (with a
-- dot in their name) aren't shown: applications keep secrets in them.
SELECT concat_ws(
           ' ',
           CASE WHEN setrole <> 0 THEN 'ROLE ' || pg_catalog.pg_get_userbyid(setrole)
                WHEN setdatabase = 0 THEN 'ROLE ALL' END,
           CASE WHEN setdatabase <> 0 AND setrole <> 0 THEN 'IN' END,
           CASE WHEN setdatabase <> 0 THEN 'DATABASE ' || pg_catalog.current_database() END
       ) || ': ' || split_part(setting, '=', 1) AS name,
       CASE WHEN split_part(setting, '=', 1) LIKE '%.%' THEN 'value not shown'
            ELSE 'SET ' || split_part(setting, '=', 1) || ' = '
                || substr(setting, length(split_part(setting, '=', 1)) + 2) END AS detail
FROM pg_catalog.pg_db_role_setting
CROSS JOIN LATERAL unnest(setconfig) AS setting
WHERE setdatabase IN (
    0, (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
)
ORDER BY name;
