-- Which triggers and constraints of this database's tables aren't enforced, wholly or for old rows?
--
-- Disabled triggers (those that enforce foreign keys included), constraints that are NOT ENFORCED or NOT VALID, and
-- session_replication_role = replica for a database, a role or the server, which fires no ordinary trigger. A
-- constraint's triggers on one table are one row; what partitions and children inherit is left to their root.
-- `mend`: what would help (leaks.mending), and the names that it takes.
WITH before_18 AS (
    -- `conenforced` came with 18: where pg_constraint has none, the name finds this one.
    SELECT true AS conenforced
), checked AS (
    SELECT checked.*
    FROM before_18
    CROSS JOIN LATERAL (
        SELECT oid, conname, contype, conrelid, confrelid, conparentid, conislocal, conenforced
        FROM pg_catalog.pg_constraint
        WHERE conrelid OPERATOR(pg_catalog.<>) 0 AND NOT convalidated
    ) AS checked
), disabled AS (
    SELECT DISTINCT
           tgrelid, tgisinternal, contype,
           CASE WHEN tgisinternal AND conname IS NOT NULL THEN conname ELSE tgname END AS name
    FROM pg_catalog.pg_trigger
    LEFT JOIN pg_catalog.pg_constraint ON pg_constraint.oid OPERATOR(pg_catalog.=) tgconstraint
    WHERE tgenabled OPERATOR(pg_catalog.=) 'D'
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_trigger AS parent
          WHERE parent.oid OPERATOR(pg_catalog.=) pg_trigger.tgparentid
              AND parent.tgenabled OPERATOR(pg_catalog.=) 'D'
      )
), unforced AS (
    SELECT tgrelid AS relation, name,
           CASE
               WHEN NOT tgisinternal THEN 'trigger'
               WHEN contype OPERATOR(pg_catalog.=) 'f' THEN 'foreign key: not enforced by this table'
               ELSE 'constraint: not enforced'
           END AS detail,
           CASE WHEN tgisinternal THEN 'enable all' ELSE 'enable' END AS mend
    FROM disabled
    UNION ALL
    SELECT conrelid, conname,
           pg_catalog.concat(
               CASE
                   WHEN contype OPERATOR(pg_catalog.=) 'f' THEN 'foreign key'
                   WHEN contype OPERATOR(pg_catalog.=) 'c' THEN 'check constraint'
                   ELSE 'constraint' END,
               CASE WHEN conenforced THEN ': NOT VALID, rows from before it are unchecked'
                    ELSE ': NOT ENFORCED' END,
               CASE
                   WHEN contype OPERATOR(pg_catalog.=) 'f'
                       THEN ' (refers to ' OPERATOR(pg_catalog.||) target.nspname OPERATOR(pg_catalog.||) '.'
                           OPERATOR(pg_catalog.||) referred.relname OPERATOR(pg_catalog.||) ')' END
           ),
           CASE
               WHEN conenforced THEN 'validate'
               WHEN contype OPERATOR(pg_catalog.=) 'f' THEN 'enforce'
               ELSE 'make again' END
    FROM checked
    LEFT JOIN pg_catalog.pg_class AS referred ON referred.oid OPERATOR(pg_catalog.=) confrelid
    LEFT JOIN pg_catalog.pg_namespace AS target ON target.oid OPERATOR(pg_catalog.=) referred.relnamespace
    WHERE conislocal
      AND NOT EXISTS (
          SELECT FROM checked AS parent
          WHERE parent.oid OPERATOR(pg_catalog.=) checked.conparentid
              AND parent.conenforced OPERATOR(pg_catalog.=) checked.conenforced
      )
)
SELECT nspname OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) relname OPERATOR(pg_catalog.||) ': '
       OPERATOR(pg_catalog.||) name AS name, detail,
       ARRAY[mend, nspname::pg_catalog.text, relname::pg_catalog.text, name::pg_catalog.text] AS mend
FROM unforced
JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) relation
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
WHERE nspname OPERATOR(pg_catalog.!~) '^pg_' AND nspname OPERATOR(pg_catalog.<>) 'information_schema'
UNION ALL
SELECT pg_catalog.concat_ws(
           ' IN ',
           CASE
               WHEN setrole OPERATOR(pg_catalog.<>) 0
                   THEN 'ROLE ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_userbyid(setrole)
                WHEN setdatabase OPERATOR(pg_catalog.=) 0 THEN 'ROLE ALL' END,
           CASE
               WHEN setdatabase OPERATOR(pg_catalog.<>) 0
                   THEN 'DATABASE ' OPERATOR(pg_catalog.||) pg_catalog.current_database() END
       ) OPERATOR(pg_catalog.||) ': session_replication_role',
       'replica: its new sessions fire no triggers and check no foreign keys',
       ARRAY[
           'reset',
           CASE
               WHEN setrole OPERATOR(pg_catalog.<>) 0 THEN pg_catalog.pg_get_userbyid(setrole)::pg_catalog.text
           END,
           CASE
               WHEN setdatabase OPERATOR(pg_catalog.<>) 0 THEN pg_catalog.current_database()::pg_catalog.text
           END
       ]
FROM pg_catalog.pg_db_role_setting
WHERE setdatabase OPERATOR(pg_catalog.=) ANY (
          ARRAY[0, (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))]
      )
  AND 'session_replication_role=replica' OPERATOR(pg_catalog.=) ANY (
      SELECT pg_catalog.lower(setting) FROM pg_catalog.unnest(setconfig) AS setting
  )
UNION ALL
SELECT 'server: session_replication_role',
       'replica in ' OPERATOR(pg_catalog.||) source
           OPERATOR(pg_catalog.||) ': new sessions fire no triggers and check no foreign keys',
       ARRAY['configure']
FROM pg_catalog.pg_show_all_settings()
WHERE name OPERATOR(pg_catalog.=) 'session_replication_role' AND reset_val OPERATOR(pg_catalog.=) 'replica'
  AND source OPERATOR(pg_catalog.=) ANY ('{configuration file,command line,environment variable}')
ORDER BY name;
