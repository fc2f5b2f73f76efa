-- Which tables are there, what is above them, and what would keep rows of them from being deleted?
--
-- One row per ordinary table, partition, root of partitions or foreign table, in all schemas but the
-- server's own, no temporary ones. `ancestors`: what it is a partition of, the nearest first. `created_at`:
-- that column's type (timestamp, timestamptz), 0 if there is none that may be read. `rules`: on DELETE,
-- INSTEAD; `also`: the others. `triggers`: of users, on DELETE. `trigger_functions`: what each of these calls.
-- `statement_triggers`: those of them that a statement fires once. `stops_delete`, `stops_update`: whether
-- something may keep a row from that. `publication`: one
-- that publishes deletes, where rows have no identity to be published by (CheckCmdReplicaIdentity in
-- src/backend/executor/execReplication.c).
-- `live_rows`: as they were counted on the way in; where a crash has lost that, from the size of the file, at
-- 100 bytes a row, unless somebody has the table for himself, who would keep us waiting.
WITH RECURSIVE before_14 AS (
    -- `inhdetachpending` came with 14: where pg_inherits has none, the name finds this one.
    SELECT false AS inhdetachpending
), attached AS (
    SELECT link.*
    FROM before_14
    CROSS JOIN LATERAL (
        SELECT inhrelid, inhparent, inhdetachpending
        FROM pg_catalog.pg_inherits
        JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) inhrelid AND relispartition
    ) AS link
    WHERE NOT link.inhdetachpending
), above AS (
    SELECT inhrelid AS oid, inhparent AS ancestor, 1 AS distance FROM attached
    UNION ALL
    SELECT above.oid, inhparent, distance OPERATOR(pg_catalog.+) 1
    FROM above
    JOIN attached ON inhrelid OPERATOR(pg_catalog.=) above.ancestor
), lineage AS (
    SELECT oid, pg_catalog.array_agg(ancestor::bigint ORDER BY distance) AS ancestors
    FROM above
    GROUP BY oid
), listed AS (
    SELECT one.relid AS oid, pubname
    FROM pg_catalog.pg_publication
    CROSS JOIN LATERAL pg_catalog.pg_get_publication_tables(pubname::pg_catalog.text) AS one
    WHERE pubdelete
), published AS (
    -- What publishes a root publishes all below it.
    SELECT DISTINCT ON (oid) oid, pubname
    FROM (
        SELECT oid, pubname FROM listed
        UNION ALL
        SELECT above.oid, pubname
        FROM above
        JOIN listed ON listed.oid OPERATOR(pg_catalog.=) above.ancestor
    ) AS one
    ORDER BY oid, pubname
), hung AS (
    SELECT tgrelid,
           pg_catalog.array_agg(tgname ORDER BY tgname) AS triggers,
           pg_catalog.array_agg(pg_catalog.concat(nspname, '.', proname) ORDER BY tgname) AS functions,
           -- TRIGGER_TYPE_ROW
           pg_catalog.array_agg(tgname ORDER BY tgname)
               FILTER (WHERE tgtype OPERATOR(pg_catalog.&) 1 OPERATOR(pg_catalog.=) 0) AS of_statements
    FROM pg_catalog.pg_trigger
    JOIN pg_catalog.pg_proc ON pg_proc.oid OPERATOR(pg_catalog.=) tgfoid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) pronamespace
    -- TRIGGER_TYPE_DELETE (src/include/catalog/pg_trigger.h)
    WHERE tgtype OPERATOR(pg_catalog.&) 8 OPERATOR(pg_catalog.<>) 0
        AND tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}')
        -- Before 15, what a partition has from its root counts as internal, as do those of foreign keys.
        AND (NOT tgisinternal
            OR (tgparentid OPERATOR(pg_catalog.<>) 0 AND tgconstraint OPERATOR(pg_catalog.=) 0))
    GROUP BY tgrelid
), stopping AS (
    -- TRIGGER_TYPE_ROW and TRIGGER_TYPE_BEFORE; TRIGGER_TYPE_DELETE, TRIGGER_TYPE_UPDATE; and rules.
    SELECT relation,
           pg_catalog.bool_or(event OPERATOR(pg_catalog.&) 8 OPERATOR(pg_catalog.<>) 0) AS deletes,
           pg_catalog.bool_or(event OPERATOR(pg_catalog.&) 16 OPERATOR(pg_catalog.<>) 0) AS updates
    FROM (
        SELECT tgrelid AS relation, tgtype AS event
        FROM pg_catalog.pg_trigger
        WHERE tgtype OPERATOR(pg_catalog.&) 3 OPERATOR(pg_catalog.=) 3
            AND tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}')
            AND (NOT tgisinternal
                OR (tgparentid OPERATOR(pg_catalog.<>) 0 AND tgconstraint OPERATOR(pg_catalog.=) 0))
        UNION ALL
        SELECT ev_class,
               CASE WHEN ev_type OPERATOR(pg_catalog.=) '4' THEN 8
                   WHEN ev_type OPERATOR(pg_catalog.=) '2' THEN 16 ELSE 0 END
        FROM pg_catalog.pg_rewrite
        WHERE ev_enabled OPERATOR(pg_catalog.<>) 'D'
    ) AS either
    GROUP BY relation
), closed AS MATERIALIZED (
    SELECT relation FROM pg_catalog.pg_lock_status()
    WHERE locktype OPERATOR(pg_catalog.=) 'relation' AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
)
SELECT pg_class.oid::bigint AS oid,
       nspname AS schema,
       relname AS name,
       relkind::pg_catalog.text AS kind,
       coalesce(lineage.ancestors, '{}') AS ancestors,
       coalesce((
           SELECT atttypid::bigint
           FROM pg_catalog.pg_attribute
           WHERE attrelid OPERATOR(pg_catalog.=) pg_class.oid
               AND attname OPERATOR(pg_catalog.=) 'created_at'
               AND atttypid OPERATOR(pg_catalog.=) ANY ('{1114,1184}')
               AND NOT attisdropped
       ), 0) AS created_at,
       -- NULL if it is gone by now.
       coalesce(pg_catalog.has_schema_privilege(relnamespace, 'USAGE'), true) AS schema_usage,
       ARRAY(
           SELECT privilege
           FROM pg_catalog.unnest('{SELECT,UPDATE,DELETE}'::pg_catalog.text[]) AS wanted (privilege)
           WHERE NOT pg_catalog.has_table_privilege(pg_class.oid, privilege)
       ) AS missing,
       coalesce(pg_catalog.row_security_active(pg_class.oid), false) AS row_security,
       ARRAY(
           SELECT rulename FROM pg_catalog.pg_rewrite
           WHERE ev_class OPERATOR(pg_catalog.=) pg_class.oid
               AND ev_type OPERATOR(pg_catalog.=) '4'
               AND is_instead
               AND ev_enabled OPERATOR(pg_catalog.<>) 'D'
       ) AS rules,
       coalesce(hung.triggers, '{}') AS triggers,
       coalesce(hung.functions, '{}') AS trigger_functions,
       coalesce(hung.of_statements, '{}') AS statement_triggers,
       ARRAY(
           SELECT rulename FROM pg_catalog.pg_rewrite
           WHERE ev_class OPERATOR(pg_catalog.=) pg_class.oid
               AND ev_type OPERATOR(pg_catalog.=) '4'
               AND NOT is_instead
               AND ev_enabled OPERATOR(pg_catalog.<>) 'D'
       ) AS also,
       coalesce(stopping.deletes, false) AS stops_delete,
       coalesce(stopping.updates, false) AS stops_update,
       CASE
           WHEN relkind OPERATOR(pg_catalog.=) 'r'
               AND relpersistence OPERATOR(pg_catalog.=) 'p'
               AND relreplident OPERATOR(pg_catalog.<>) 'f'
               AND NOT EXISTS (
                   SELECT FROM pg_catalog.pg_index
                   WHERE indrelid OPERATOR(pg_catalog.=) pg_class.oid
                       AND indisvalid
                       AND CASE WHEN relreplident OPERATOR(pg_catalog.=) 'd' THEN indisprimary
                               WHEN relreplident OPERATOR(pg_catalog.=) 'i' THEN indisreplident END
               )
           THEN published.pubname
       END AS publication,
       relfilenode::bigint AS file,
       greatest(reltuples, 0)::pg_catalog.float8 AS rows,
       CASE
           WHEN relkind OPERATOR(pg_catalog.=) 'r'
               AND pg_catalog.pg_stat_get_live_tuples(pg_class.oid) OPERATOR(pg_catalog.=) 0
               AND NOT (pg_class.oid OPERATOR(pg_catalog.=) ANY (
                   SELECT relation FROM closed WHERE relation IS NOT NULL
               ))
           THEN coalesce(pg_catalog.pg_relation_size(pg_class.oid), 0) OPERATOR(pg_catalog./) 100.0
           ELSE pg_catalog.pg_stat_get_live_tuples(pg_class.oid)
       END::pg_catalog.float8 AS live_rows
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
LEFT JOIN lineage ON lineage.oid OPERATOR(pg_catalog.=) pg_class.oid
LEFT JOIN published ON published.oid OPERATOR(pg_catalog.=) pg_class.oid
LEFT JOIN hung ON tgrelid OPERATOR(pg_catalog.=) pg_class.oid
LEFT JOIN stopping ON stopping.relation OPERATOR(pg_catalog.=) pg_class.oid
WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f}')
    AND relpersistence OPERATOR(pg_catalog.<>) 't'
    AND nspname OPERATOR(pg_catalog.!~) '^pg_'
    AND nspname OPERATOR(pg_catalog.<>) 'information_schema'
ORDER BY nspname, relname;
