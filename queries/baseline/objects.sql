-- Which objects are there beside rows: tables, views, sequences, types, functions, schemas, extensions, roles …?
--
-- `part_of` is the table (its oid) of an index, trigger, constraint, rule or policy, and of a sequence that a column
-- owns. A key's constraint goes by its index. Left out: what an
-- extension brought, row and array types, temporary objects, the server's own. `relation` is the bare name of a
-- sequence. Roles are the whole server's.
WITH place AS (
    SELECT oid, nspname
    FROM pg_catalog.pg_namespace
    -- pgwatch_tests: our own history of sweeps.
    WHERE nspname OPERATOR(pg_catalog.!~) '^pg_'
        AND nspname OPERATOR(pg_catalog.<>) ALL ('{information_schema,pgwatch_tests}')
), brought AS (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype OPERATOR(pg_catalog.=) 'e'
), owned AS (
    SELECT objid, refobjid
    FROM pg_catalog.pg_depend
    WHERE classid OPERATOR(pg_catalog.=) 1259
        AND refclassid OPERATOR(pg_catalog.=) 1259
        AND refobjsubid OPERATOR(pg_catalog.>) 0
        AND deptype OPERATOR(pg_catalog.=) ANY ('{a,i}')
), found AS (
    SELECT 1259 AS class,
           CASE
               WHEN relkind OPERATOR(pg_catalog.=) 'v' THEN 'view'
               WHEN relkind OPERATOR(pg_catalog.=) 'm' THEN 'materialized view'
               WHEN relkind OPERATOR(pg_catalog.=) 'f' THEN 'foreign table'
               WHEN relkind OPERATOR(pg_catalog.=) 'S' THEN 'sequence'
               WHEN relkind OPERATOR(pg_catalog.=) ANY ('{i,I}') THEN 'index'
               ELSE 'table'
           END AS kind,
           pg_class.oid, relnamespace AS namespace, relname::pg_catalog.text AS name, relowner AS owner,
           CASE WHEN relkind OPERATOR(pg_catalog.=) 'S' THEN relname END AS relation,
           CASE
               WHEN relkind OPERATOR(pg_catalog.=) ANY ('{i,I}') THEN indrelid
               ELSE owned.refobjid
           END AS part_of
    FROM pg_catalog.pg_class
    LEFT JOIN pg_catalog.pg_index ON indexrelid OPERATOR(pg_catalog.=) pg_class.oid
    LEFT JOIN owned ON owned.objid OPERATOR(pg_catalog.=) pg_class.oid AND relkind OPERATOR(pg_catalog.=) 'S'
    WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,i,I}')
      AND relpersistence OPERATOR(pg_catalog.<>) 't'
      AND NOT (relispartition AND relkind OPERATOR(pg_catalog.=) ANY ('{i,I}'))
    UNION ALL
    SELECT 1247, CASE WHEN typtype OPERATOR(pg_catalog.=) 'd' THEN 'domain' ELSE 'type' END,
           pg_type.oid, typnamespace, typname::pg_catalog.text, typowner, NULL, NULL
    FROM pg_catalog.pg_type
    LEFT JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) typrelid
    WHERE (typtype OPERATOR(pg_catalog.=) ANY ('{b,d,e,r}') OR relkind OPERATOR(pg_catalog.=) 'c')
      AND NOT EXISTS (
          SELECT
          FROM pg_catalog.pg_type AS element
          WHERE element.typarray OPERATOR(pg_catalog.=) pg_type.oid
      )
    UNION ALL
    SELECT 1255,
           CASE
               WHEN prokind OPERATOR(pg_catalog.=) 'p' THEN 'procedure'
               WHEN prokind OPERATOR(pg_catalog.=) 'a' THEN 'aggregate'
               ELSE 'function'
           END,
           oid, pronamespace,
           pg_catalog.concat(proname, '(', pg_catalog.pg_get_function_identity_arguments(oid), ')'),
           proowner, NULL, NULL
    FROM pg_catalog.pg_proc
    UNION ALL
    SELECT part.class, part.kind, part.oid, relnamespace,
           part.name OPERATOR(pg_catalog.||) ' on ' OPERATOR(pg_catalog.||) relname,
           relowner, NULL, part.relation
    FROM (
        SELECT 2620 AS class, 'trigger' AS kind, oid, tgname AS name, tgrelid AS relation
        FROM pg_catalog.pg_trigger
        WHERE NOT tgisinternal AND tgparentid OPERATOR(pg_catalog.=) 0
        UNION ALL
        SELECT 2606, CASE WHEN contype OPERATOR(pg_catalog.=) 'f' THEN 'foreign key' ELSE 'check' END,
               oid, conname, conrelid
        FROM pg_catalog.pg_constraint
        WHERE contype OPERATOR(pg_catalog.=) ANY ('{f,c}')
            AND conrelid OPERATOR(pg_catalog.<>) 0
            AND conparentid OPERATOR(pg_catalog.=) 0
            AND conislocal
        UNION ALL
        SELECT 2618, 'rule', oid, rulename, ev_class
        FROM pg_catalog.pg_rewrite
        WHERE rulename OPERATOR(pg_catalog.<>) '_RETURN'
        UNION ALL
        SELECT 3256, 'policy', oid, polname, polrelid FROM pg_catalog.pg_policy
    ) AS part
    JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) part.relation
    WHERE relpersistence OPERATOR(pg_catalog.<>) 't'
)
SELECT kind, found.oid::bigint AS oid, nspname::pg_catalog.text AS schema, name,
       pg_catalog.pg_get_userbyid(owner)::pg_catalog.text AS owner, relation, part_of::bigint AS part_of,
       nspname AS exact_schema
FROM found
JOIN place ON place.oid OPERATOR(pg_catalog.=) namespace
WHERE name IS NOT NULL
  AND NOT EXISTS (
      SELECT
      FROM brought
      WHERE classid OPERATOR(pg_catalog.=) class AND objid OPERATOR(pg_catalog.=) found.oid
  )
UNION ALL
SELECT 'schema', place.oid::bigint, '', place.nspname::pg_catalog.text,
       pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text, NULL, NULL, NULL
FROM place
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) place.oid
WHERE NOT EXISTS (
    SELECT
    FROM brought
    WHERE classid OPERATOR(pg_catalog.=) 2615 AND objid OPERATOR(pg_catalog.=) place.oid
)
UNION ALL
SELECT 'extension', oid::bigint, '', extname::pg_catalog.text,
       pg_catalog.pg_get_userbyid(extowner)::pg_catalog.text, NULL, NULL, NULL
FROM pg_catalog.pg_extension
UNION ALL
SELECT 'event trigger', oid::bigint, '', evtname::pg_catalog.text,
       pg_catalog.pg_get_userbyid(evtowner)::pg_catalog.text, NULL, NULL, NULL
FROM pg_catalog.pg_event_trigger
WHERE NOT EXISTS (
    SELECT
    FROM brought
    WHERE classid OPERATOR(pg_catalog.=) 3466 AND objid OPERATOR(pg_catalog.=) pg_event_trigger.oid
)
UNION ALL
SELECT 'role', oid::bigint, '', rolname::pg_catalog.text, '', NULL, NULL, NULL
FROM pg_catalog.pg_roles
WHERE rolname OPERATOR(pg_catalog.!~) '^pg_'
ORDER BY kind, schema, name;
