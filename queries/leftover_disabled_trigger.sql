-- Which triggers and constraints of this database's tables aren't enforced, wholly or for old rows?
--
-- Disabled triggers (those that enforce foreign keys included), constraints that are NOT ENFORCED or NOT VALID, and
-- session_replication_role = replica for a database, a role or the server, which fires no ordinary trigger. A
-- constraint's triggers on one table are one row; what partitions and children inherit is left to their root.
WITH before_18 AS (
    -- `conenforced` came with 18: where pg_constraint has none, the name finds this one.
    SELECT true AS conenforced
), checked AS (
    SELECT checked.*
    FROM before_18
    CROSS JOIN LATERAL (
        SELECT oid, conname, contype, conrelid, confrelid, conparentid, conislocal, conenforced
        FROM pg_catalog.pg_constraint
        WHERE conrelid <> 0 AND NOT convalidated
    ) AS checked
), disabled AS (
    SELECT DISTINCT
           tgrelid, tgisinternal, contype,
           CASE WHEN tgisinternal AND conname IS NOT NULL THEN conname ELSE tgname END AS name
    FROM pg_catalog.pg_trigger
    LEFT JOIN pg_catalog.pg_constraint ON pg_constraint.oid = tgconstraint
    WHERE tgenabled = 'D'
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_trigger AS parent
          WHERE parent.oid = pg_trigger.tgparentid AND parent.tgenabled = 'D'
      )
), unforced AS (
    SELECT tgrelid AS relation, name,
           CASE
               WHEN NOT tgisinternal THEN 'trigger'
               WHEN contype = 'f' THEN 'foreign key: not enforced by this table'
               ELSE 'constraint: not enforced'
           END AS detail
    FROM disabled
    UNION ALL
    SELECT conrelid, conname,
           concat(
               CASE contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check constraint' ELSE 'constraint' END,
               CASE WHEN conenforced THEN ': NOT VALID, rows from before it are unchecked'
                    ELSE ': NOT ENFORCED' END,
               CASE WHEN contype = 'f' THEN ' (refers to ' || target.nspname || '.' || referred.relname || ')' END
           )
    FROM checked
    LEFT JOIN pg_catalog.pg_class AS referred ON referred.oid = confrelid
    LEFT JOIN pg_catalog.pg_namespace AS target ON target.oid = referred.relnamespace
    WHERE conislocal
      AND NOT EXISTS (
          SELECT FROM checked AS parent
          WHERE parent.oid = checked.conparentid AND parent.conenforced = checked.conenforced
      )
)
SELECT nspname || '.' || relname || ': ' || name AS name, detail
FROM unforced
JOIN pg_catalog.pg_class ON pg_class.oid = relation
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
UNION ALL
SELECT concat_ws(
           ' IN ',
           CASE WHEN setrole <> 0 THEN 'ROLE ' || pg_catalog.pg_get_userbyid(setrole)
                WHEN setdatabase = 0 THEN 'ROLE ALL' END,
           CASE WHEN setdatabase <> 0 THEN 'DATABASE ' || pg_catalog.current_database() END
       ) || ': session_replication_role',
       'replica: its new sessions fire no triggers and check no foreign keys'
FROM pg_catalog.pg_db_role_setting
WHERE setdatabase IN (
          0, (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
      )
  AND 'session_replication_role=replica' = ANY (SELECT lower(setting) FROM unnest(setconfig) AS setting)
UNION ALL
SELECT 'server: session_replication_role',
       'replica in ' || source || ': new sessions fire no triggers and check no foreign keys'
FROM pg_catalog.pg_show_all_settings()
WHERE name = 'session_replication_role' AND reset_val = 'replica'
  AND source IN ('configuration file', 'command line', 'environment variable')
ORDER BY name;
