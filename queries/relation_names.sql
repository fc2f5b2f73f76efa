-- What are these relations called, what kind are they, which columns are their primary key and their other
-- unique keys, which tables refer to them, may we read their rows, and what happens when they are written to?
--
-- `unique_keys`: the columns of each unique or exclusion index, or its name if it has expressions; the
-- primary key last, since it is mostly made up by a sequence. `unique_indexes`: the same indexes by OID, with
-- all columns that their expressions and conditions are of (NULL if one is generated), and whether they may be
-- checked later. `names`: the relation's, and of all that it is a partition or child of. `runs_code`: triggers
-- or rules that aren't the server's own; OIDs of its own functions are below 16384.
-- Parameter: oids, an array of relation OIDs of the connected database.
WITH RECURSIVE family AS (
    SELECT wanted.oid AS member, wanted.oid AS ancestor FROM unnest(%(oids)s::oid[]) AS wanted (oid)
    UNION
    SELECT family.member, inherits.inhparent
    FROM family JOIN pg_catalog.pg_inherits AS inherits ON inherits.inhrelid = family.ancestor
)
SELECT class.oid,
       namespace.nspname,
       class.relname,
       CASE class.relkind
           WHEN 'r' THEN 'table'
           WHEN 'p' THEN 'partitioned table'
           WHEN 'i' THEN 'index'
           WHEN 'I' THEN 'partitioned index'
           WHEN 'S' THEN 'sequence'
           WHEN 'v' THEN 'view'
           WHEN 'm' THEN 'materialized view'
           WHEN 't' THEN 'TOAST table'
           WHEN 'f' THEN 'foreign table'
           ELSE 'relation'
       END AS kind,
       coalesce((
           SELECT array_agg(attribute.attname::text ORDER BY key.position)
           FROM pg_catalog.pg_index AS index
           CROSS JOIN LATERAL unnest(index.indkey::int2[]) WITH ORDINALITY AS key (attnum, position)
           JOIN pg_catalog.pg_attribute AS attribute
             ON attribute.attrelid = index.indrelid AND attribute.attnum = key.attnum
           WHERE index.indrelid = class.oid AND index.indisprimary AND key.position <= index.indnkeyatts
       ), '{}') AS key_columns,
       coalesce((
           SELECT json_agg(coalesce(columns, json_build_array(name)) ORDER BY is_primary, name)
           FROM (
               SELECT index.indisprimary AS is_primary,
                      index_class.relname AS name,
                      CASE WHEN index.indexprs IS NULL THEN (
                          SELECT json_agg(attribute.attname ORDER BY key.position)
                          FROM unnest(index.indkey::int2[]) WITH ORDINALITY AS key (attnum, position)
                          JOIN pg_catalog.pg_attribute AS attribute
                            ON attribute.attrelid = index.indrelid AND attribute.attnum = key.attnum
                          WHERE key.position <= index.indnkeyatts
                      ) END AS columns
               FROM pg_catalog.pg_index AS index
               JOIN pg_catalog.pg_class AS index_class ON index_class.oid = index.indexrelid
               WHERE index.indrelid = class.oid AND (index.indisunique OR index.indisexclusion)
           ) AS unique_index
       ), '[]') AS unique_keys,
       coalesce((
           SELECT array_agg(conrelid::bigint ORDER BY conrelid)
           FROM pg_catalog.pg_constraint
           WHERE confrelid = class.oid AND contype = 'f'
       ), '{}') AS referencing,
       coalesce(
           pg_catalog.has_table_privilege(class.oid, 'SELECT')
               AND NOT pg_catalog.row_security_active(class.oid)
               -- Nor would the planner run anybody's code for it: see strange_plans.sql.
               AND NOT EXISTS (
                   SELECT
                   FROM (
                       SELECT indexrelid AS oid FROM pg_catalog.pg_index WHERE indrelid = class.oid
                       UNION ALL
                       SELECT pg_statistic_ext.oid
                       FROM pg_catalog.pg_statistic_ext
                       WHERE stxrelid = class.oid
                       UNION ALL
                       SELECT class.oid
                   ) AS planned
                   JOIN pg_catalog.pg_depend ON objid = planned.oid AND objsubid = 0
                   LEFT JOIN pg_catalog.pg_operator
                       ON refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
                           AND pg_operator.oid = refobjid
                   LEFT JOIN pg_catalog.pg_range
                       ON refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND rngtypid = refobjid
                   JOIN pg_catalog.pg_proc
                       ON pg_proc.oid = coalesce(
                           oprcode::pg_catalog.oid,
                           rngcanonical::pg_catalog.oid,
                           CASE WHEN refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass THEN refobjid END
                       )
                   WHERE classid IN (
                           'pg_catalog.pg_class'::pg_catalog.regclass,
                           'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
                       )
                       AND pg_proc.oid >= 16384
                       AND NOT EXISTS (
                           SELECT FROM pg_catalog.pg_roles
                           WHERE pg_roles.oid = proowner AND (rolsuper OR rolname = CURRENT_USER)
                       )
               ),
           false
       ) AS is_readable,
       coalesce((
           SELECT json_agg(json_build_array(
               index.indexrelid::bigint,
               (
                   SELECT CASE WHEN bool_or(attribute.attgenerated <> '') THEN NULL
                               ELSE json_agg(attribute.attname) END
                   FROM pg_catalog.pg_attribute AS attribute
                   WHERE attribute.attrelid = index.indrelid
                     AND (attribute.attnum = ANY (index.indkey::int2[])
                          OR attribute.attnum IN (
                              SELECT depend.refobjsubid
                              FROM pg_catalog.pg_depend AS depend
                              WHERE depend.classid = 1259 AND depend.objid = index.indexrelid
                                AND depend.refclassid = 1259 AND depend.refobjid = index.indrelid))
               ),
               NOT index.indimmediate))
           FROM pg_catalog.pg_index AS index
           WHERE index.indrelid = class.oid AND (index.indisunique OR index.indisexclusion)
       ), '[]') AS unique_indexes,
       (
           SELECT json_agg(json_build_array(schema.nspname, ancestor.relname))
           FROM family
           JOIN pg_catalog.pg_class AS ancestor ON ancestor.oid = family.ancestor
           JOIN pg_catalog.pg_namespace AS schema ON schema.oid = ancestor.relnamespace
           WHERE family.member = class.oid
       ) AS names,
       class.relhasrules OR EXISTS (
           SELECT FROM pg_catalog.pg_trigger AS trigger
           JOIN family ON family.ancestor = trigger.tgrelid
           WHERE family.member = class.oid AND trigger.tgfoid >= 16384 AND trigger.tgenabled <> 'D'
       ) AS runs_code
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.oid = ANY (%(oids)s::oid[]);
