-- What are these relations called, which keys do they have, may we read them, and what happens on writing to them?
--
-- Also: what kind they are, and which tables refer to them.
-- `unique_keys`: the columns of each unique or exclusion index, or its name if it has expressions; the
-- primary key last, since it is mostly made up by a sequence. `unique_indexes`: the same indexes by OID, with
-- all columns that their expressions and conditions are of (NULL if one is generated), and whether they may be
-- checked later. `names`: the relation's, and of all that it is a partition or child of. `runs_code`: triggers
-- or rules that aren't the server's own; OIDs of its own functions are below 16384.
-- Parameter: oids, an array of relation OIDs of the connected database.
WITH RECURSIVE family AS (
    SELECT wanted.oid AS member, wanted.oid AS ancestor
    FROM pg_catalog.unnest(%(oids)s::pg_catalog.oid[]) AS wanted (oid)
    UNION
    SELECT family.member, inherits.inhparent
    FROM family
    JOIN pg_catalog.pg_inherits AS inherits ON inherits.inhrelid OPERATOR(pg_catalog.=) family.ancestor
)
SELECT class.oid,
       namespace.nspname,
       class.relname,
       CASE
           WHEN class.relkind OPERATOR(pg_catalog.=) 'r' THEN 'table'
           WHEN class.relkind OPERATOR(pg_catalog.=) 'p' THEN 'partitioned table'
           WHEN class.relkind OPERATOR(pg_catalog.=) 'i' THEN 'index'
           WHEN class.relkind OPERATOR(pg_catalog.=) 'I' THEN 'partitioned index'
           WHEN class.relkind OPERATOR(pg_catalog.=) 'S' THEN 'sequence'
           WHEN class.relkind OPERATOR(pg_catalog.=) 'v' THEN 'view'
           WHEN class.relkind OPERATOR(pg_catalog.=) 'm' THEN 'materialized view'
           WHEN class.relkind OPERATOR(pg_catalog.=) 't' THEN 'TOAST table'
           WHEN class.relkind OPERATOR(pg_catalog.=) 'f' THEN 'foreign table'
           ELSE 'relation'
       END AS kind,
       coalesce((
           SELECT pg_catalog.array_agg(attribute.attname::pg_catalog.text ORDER BY key.position)
           FROM pg_catalog.pg_index AS index
           CROSS JOIN LATERAL pg_catalog.unnest(index.indkey::pg_catalog.int2[])
               WITH ORDINALITY AS key (attnum, position)
           JOIN pg_catalog.pg_attribute AS attribute
             ON attribute.attrelid OPERATOR(pg_catalog.=) index.indrelid
                 AND attribute.attnum OPERATOR(pg_catalog.=) key.attnum
           WHERE index.indrelid OPERATOR(pg_catalog.=) class.oid
               AND index.indisprimary
               AND key.position OPERATOR(pg_catalog.<=) index.indnkeyatts
       ), '{}') AS key_columns,
       coalesce((
           SELECT pg_catalog.json_agg(
               coalesce(columns, pg_catalog.json_build_array(name)) ORDER BY is_primary, name
           )
           FROM (
               SELECT index.indisprimary AS is_primary,
                      index_class.relname AS name,
                      CASE WHEN index.indexprs IS NULL THEN (
                          SELECT pg_catalog.json_agg(attribute.attname ORDER BY key.position)
                          FROM pg_catalog.unnest(index.indkey::pg_catalog.int2[])
                              WITH ORDINALITY AS key (attnum, position)
                          JOIN pg_catalog.pg_attribute AS attribute
                            ON attribute.attrelid OPERATOR(pg_catalog.=) index.indrelid
                                AND attribute.attnum OPERATOR(pg_catalog.=) key.attnum
                          WHERE key.position OPERATOR(pg_catalog.<=) index.indnkeyatts
                      ) END AS columns
               FROM pg_catalog.pg_index AS index
               JOIN pg_catalog.pg_class AS index_class
                   ON index_class.oid OPERATOR(pg_catalog.=) index.indexrelid
               WHERE index.indrelid OPERATOR(pg_catalog.=) class.oid
                   AND (index.indisunique OR index.indisexclusion)
           ) AS unique_index
       ), '[]') AS unique_keys,
       coalesce((
           SELECT pg_catalog.array_agg(conrelid::bigint ORDER BY conrelid)
           FROM pg_catalog.pg_constraint
           WHERE confrelid OPERATOR(pg_catalog.=) class.oid AND contype OPERATOR(pg_catalog.=) 'f'
       ), '{}') AS referencing,
       coalesce(
           pg_catalog.has_table_privilege(class.oid, 'SELECT')
               AND NOT pg_catalog.row_security_active(class.oid)
               -- Nor would the planner run anybody's code for it: see strange_plans.sql.
               AND NOT EXISTS (
                   SELECT
                   FROM (
                       SELECT indexrelid AS oid
                       FROM pg_catalog.pg_index
                       WHERE indrelid OPERATOR(pg_catalog.=) class.oid
                       UNION ALL
                       SELECT pg_statistic_ext.oid
                       FROM pg_catalog.pg_statistic_ext
                       WHERE stxrelid OPERATOR(pg_catalog.=) class.oid
                       UNION ALL
                       SELECT class.oid
                   ) AS planned
                   JOIN pg_catalog.pg_depend ON objid OPERATOR(pg_catalog.=) planned.oid
                       AND objsubid OPERATOR(pg_catalog.=) 0
                   LEFT JOIN pg_catalog.pg_operator
                       ON refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass
                           AND pg_operator.oid OPERATOR(pg_catalog.=) refobjid
                   LEFT JOIN pg_catalog.pg_range
                       ON refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
                           AND rngtypid OPERATOR(pg_catalog.=) refobjid
                   JOIN pg_catalog.pg_proc
                       ON pg_proc.oid OPERATOR(pg_catalog.=) coalesce(
                           oprcode::pg_catalog.oid,
                           rngcanonical::pg_catalog.oid,
                           CASE WHEN refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
                                THEN refobjid END
                       )
                   WHERE classid OPERATOR(pg_catalog.=) ANY (
                           ARRAY['pg_catalog.pg_class'::pg_catalog.regclass,
                           'pg_catalog.pg_statistic_ext'::pg_catalog.regclass]
                       )
                       AND pg_proc.oid OPERATOR(pg_catalog.>=) 16384
                       AND NOT EXISTS (
                           SELECT FROM pg_catalog.pg_roles
                           WHERE pg_roles.oid OPERATOR(pg_catalog.=) proowner
                               AND (rolsuper OR rolname OPERATOR(pg_catalog.=) CURRENT_USER)
                       )
               ),
           false
       ) AS is_readable,
       coalesce((
           SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
               index.indexrelid::bigint,
               (
                   SELECT CASE WHEN pg_catalog.bool_or(attribute.attgenerated OPERATOR(pg_catalog.<>) '')
                               THEN NULL
                               ELSE pg_catalog.json_agg(attribute.attname) END
                   FROM pg_catalog.pg_attribute AS attribute
                   WHERE attribute.attrelid OPERATOR(pg_catalog.=) index.indrelid
                     AND (attribute.attnum OPERATOR(pg_catalog.=) ANY (index.indkey::pg_catalog.int2[])
                          OR attribute.attnum OPERATOR(pg_catalog.=) ANY (
                              SELECT depend.refobjsubid
                              FROM pg_catalog.pg_depend AS depend
                              WHERE depend.classid OPERATOR(pg_catalog.=) 1259
                                AND depend.objid OPERATOR(pg_catalog.=) index.indexrelid
                                AND depend.refclassid OPERATOR(pg_catalog.=) 1259
                                AND depend.refobjid OPERATOR(pg_catalog.=) index.indrelid))
               ),
               NOT index.indimmediate))
           FROM pg_catalog.pg_index AS index
           WHERE index.indrelid OPERATOR(pg_catalog.=) class.oid AND (index.indisunique OR index.indisexclusion)
       ), '[]') AS unique_indexes,
       (
           SELECT pg_catalog.json_agg(pg_catalog.json_build_array(schema.nspname, ancestor.relname))
           FROM family
           JOIN pg_catalog.pg_class AS ancestor ON ancestor.oid OPERATOR(pg_catalog.=) family.ancestor
           JOIN pg_catalog.pg_namespace AS schema ON schema.oid OPERATOR(pg_catalog.=) ancestor.relnamespace
           WHERE family.member OPERATOR(pg_catalog.=) class.oid
       ) AS names,
       class.relhasrules OR EXISTS (
           SELECT FROM pg_catalog.pg_trigger AS trigger
           JOIN family ON family.ancestor OPERATOR(pg_catalog.=) trigger.tgrelid
           WHERE family.member OPERATOR(pg_catalog.=) class.oid
               AND trigger.tgfoid OPERATOR(pg_catalog.>=) 16384
               AND trigger.tgenabled OPERATOR(pg_catalog.<>) 'D'
       ) AS runs_code
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) class.relnamespace
WHERE class.oid OPERATOR(pg_catalog.=) ANY (%(oids)s::pg_catalog.oid[]);
