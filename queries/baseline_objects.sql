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
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'pgwatch_tests')
), brought AS (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
), owned AS (
    SELECT objid, refobjid
    FROM pg_catalog.pg_depend
    WHERE classid = 1259 AND refclassid = 1259 AND refobjsubid > 0 AND deptype IN ('a', 'i')
), found AS (
    SELECT 1259 AS class,
           CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
               WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END AS kind,
           pg_class.oid, relnamespace AS namespace, relname::text AS name, relowner AS owner,
           CASE WHEN relkind = 'S' THEN relname END AS relation,
           CASE WHEN relkind IN ('i', 'I') THEN indrelid ELSE owned.refobjid END AS part_of
    FROM pg_catalog.pg_class
    LEFT JOIN pg_catalog.pg_index ON indexrelid = pg_class.oid
    LEFT JOIN owned ON owned.objid = pg_class.oid AND relkind = 'S'
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')
      AND relpersistence <> 't'
      AND NOT (relispartition AND relkind IN ('i', 'I'))
    UNION ALL
    SELECT 1247, CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END,
           pg_type.oid, typnamespace, typname::text, typowner, NULL, NULL
    FROM pg_catalog.pg_type
    LEFT JOIN pg_catalog.pg_class ON pg_class.oid = typrelid
    WHERE (typtype IN ('b', 'd', 'e', 'r') OR relkind = 'c')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS element WHERE element.typarray = pg_type.oid)
    UNION ALL
    SELECT 1255, CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
           oid, pronamespace, proname || '(' || pg_catalog.pg_get_function_identity_arguments(oid) || ')',
           proowner, NULL, NULL
    FROM pg_catalog.pg_proc
    UNION ALL
    SELECT part.class, part.kind, part.oid, relnamespace, part.name || ' on ' || relname, relowner, NULL, part.relation
    FROM (
        SELECT 2620 AS class, 'trigger' AS kind, oid, tgname AS name, tgrelid AS relation
        FROM pg_catalog.pg_trigger
        WHERE NOT tgisinternal AND tgparentid = 0
        UNION ALL
        SELECT 2606, CASE contype WHEN 'f' THEN 'foreign key' ELSE 'check' END, oid, conname, conrelid
        FROM pg_catalog.pg_constraint
        WHERE contype IN ('f', 'c') AND conrelid <> 0 AND conparentid = 0 AND conislocal
        UNION ALL
        SELECT 2618, 'rule', oid, rulename, ev_class FROM pg_catalog.pg_rewrite WHERE rulename <> '_RETURN'
        UNION ALL
        SELECT 3256, 'policy', oid, polname, polrelid FROM pg_catalog.pg_policy
    ) AS part
    JOIN pg_catalog.pg_class ON pg_class.oid = part.relation
    WHERE relpersistence <> 't'
)
SELECT kind, found.oid::bigint AS oid, nspname::text AS schema, name,
       pg_catalog.pg_get_userbyid(owner)::text AS owner, relation, part_of::bigint AS part_of,
       nspname AS exact_schema
FROM found
JOIN place ON place.oid = namespace
WHERE name IS NOT NULL
  AND NOT EXISTS (SELECT FROM brought WHERE classid = class AND objid = found.oid)
UNION ALL
SELECT 'schema', place.oid::bigint, '', place.nspname::text, pg_catalog.pg_get_userbyid(nspowner)::text, NULL, NULL, NULL
FROM place
JOIN pg_catalog.pg_namespace USING (oid)
WHERE NOT EXISTS (SELECT FROM brought WHERE classid = 2615 AND objid = place.oid)
UNION ALL
SELECT 'extension', oid::bigint, '', extname::text, pg_catalog.pg_get_userbyid(extowner)::text, NULL, NULL, NULL
FROM pg_catalog.pg_extension
UNION ALL
SELECT 'event trigger', oid::bigint, '', evtname::text, pg_catalog.pg_get_userbyid(evtowner)::text, NULL, NULL, NULL
FROM pg_catalog.pg_event_trigger
WHERE NOT EXISTS (SELECT FROM brought WHERE classid = 3466 AND objid = pg_event_trigger.oid)
UNION ALL
SELECT 'role', oid::bigint, '', rolname::text, '', NULL, NULL, NULL
FROM pg_catalog.pg_roles
WHERE rolname !~ '^pg_'
ORDER BY kind, schema, name;
