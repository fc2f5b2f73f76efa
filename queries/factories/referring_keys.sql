-- By which foreign keys may rows refer to rows of these tables, directly or through others?
--
-- `tables`: oids, separated by commas. One row per key as it was declared, and per table below `parent` that
-- holds rows. `matches` compares a row `p` of the parent with a row `c` of the child, `child_name` is quoted.
WITH RECURSIVE led AS (
    -- Its rows may have to go with those of the other: through a key, or as parts of one partitioned table.
    SELECT confrelid AS from_table, conrelid AS to_table
    FROM pg_catalog.pg_constraint
    WHERE contype OPERATOR(pg_catalog.=) 'f' AND conparentid OPERATOR(pg_catalog.=) 0
        AND confdeltype OPERATOR(pg_catalog.=) ANY (CAST('{a,r,c}' AS pg_catalog."char"[]))
    UNION ALL
    SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits
    UNION ALL
    SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits
), reached AS (
    SELECT CAST(one AS pg_catalog.oid) AS relation
    FROM pg_catalog.unnest(
        pg_catalog.string_to_array(CAST(%(tables)s AS pg_catalog.text), ',')
    ) AS one
    UNION
    SELECT led.to_table
    FROM reached
    JOIN led ON led.from_table OPERATOR(pg_catalog.=) reached.relation
), below AS (
    SELECT relation AS top, relation FROM reached
    UNION
    SELECT below.top, inhrelid
    FROM below
    JOIN pg_catalog.pg_inherits ON inhparent OPERATOR(pg_catalog.=) below.relation
    JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) inhparent
    WHERE relkind OPERATOR(pg_catalog.=) 'p'
)
SELECT CAST(key.oid AS bigint) AS oid,
       CAST(key.confdeltype AS pg_catalog.text) AS on_delete,
       CAST(below.relation AS bigint) AS parent,
       CAST(key.conrelid AS bigint) AS child,
       pg_catalog.format('%I.%I', nspname, child.relname) AS child_name,
       child.relkind OPERATOR(pg_catalog.=) 'p' AS is_partitioned,
       (
           SELECT pg_catalog.string_agg(
               pg_catalog.format(
                   'p.%I OPERATOR(%I.%s) c.%I%s',
                   parent_column.attname, operator_home.nspname, oprname, child_column.attname,
                   CASE WHEN collname IS NOT NULL
                       THEN pg_catalog.format(' COLLATE %I.%I', collation_home.nspname, collname) END
               ),
               ' AND '
           )
           FROM ROWS FROM (
               pg_catalog.unnest(key.conkey), pg_catalog.unnest(key.confkey), pg_catalog.unnest(key.conpfeqop)
           ) AS pair (child_number, parent_number, operator)
           JOIN pg_catalog.pg_attribute AS child_column
               ON child_column.attrelid OPERATOR(pg_catalog.=) key.conrelid
               AND child_column.attnum OPERATOR(pg_catalog.=) pair.child_number
           JOIN pg_catalog.pg_attribute AS parent_column
               ON parent_column.attrelid OPERATOR(pg_catalog.=) key.confrelid
               AND parent_column.attnum OPERATOR(pg_catalog.=) pair.parent_number
           JOIN pg_catalog.pg_operator ON pg_operator.oid OPERATOR(pg_catalog.=) pair.operator
           JOIN pg_catalog.pg_namespace AS operator_home
               ON operator_home.oid OPERATOR(pg_catalog.=) oprnamespace
           LEFT JOIN pg_catalog.pg_collation
               ON pg_collation.oid OPERATOR(pg_catalog.=) parent_column.attcollation
               AND parent_column.attcollation OPERATOR(pg_catalog.<>) child_column.attcollation
           LEFT JOIN pg_catalog.pg_namespace AS collation_home
               ON collation_home.oid OPERATOR(pg_catalog.=) collnamespace
       ) AS matches
FROM pg_catalog.pg_constraint AS key
JOIN below ON below.top OPERATOR(pg_catalog.=) key.confrelid
JOIN pg_catalog.pg_class AS child ON child.oid OPERATOR(pg_catalog.=) key.conrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) child.relnamespace
WHERE key.contype OPERATOR(pg_catalog.=) 'f' AND key.conparentid OPERATOR(pg_catalog.=) 0
ORDER BY key.oid, below.relation;
