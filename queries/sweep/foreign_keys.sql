-- Which foreign keys are there, between which columns, compared how, and is there an index to find rows by?
--
-- One row per foreign key as it was declared: what the server makes of it for each partition is left out.
-- `equal`: the operators that compare `parent_columns` with `child_columns`. `collations`: of the parent's
-- columns, where the child's have other ones. `indexed`: whether some index on the child begins with columns
-- of the key, all of them or at least the first. `set_columns`: which of `child_columns` SET NULL and SET
-- DEFAULT change: all, unless they are declared with columns (from 15). `strange`: a function that belongs
-- neither to us nor to a superuser, and that comparing would run: the operator's, or of its family, by which
-- the planner may sort.
-- `enforced`: false for NOT ENFORCED. `fires`: whether each leaf of the parent has the server's own trigger
-- of the key on DELETE, and a session whose session_replication_role is origin fires it. `checks`: the same
-- of the child's leaves, and the triggers that look for the parent's row on INSERT and on UPDATE.
WITH RECURSIVE before AS (
    -- `confdelsetcols` came with 15, `conenforced` with 18: where pg_constraint has none, the names find these.
    SELECT NULL::pg_catalog.int2[] AS confdelsetcols, true AS conenforced
), declared AS (
    SELECT key.*
    FROM before
    CROSS JOIN LATERAL (
        SELECT oid, conname, conrelid, confrelid, confdeltype, conkey, confkey, conpfeqop, confdelsetcols,
               conenforced
        FROM pg_catalog.pg_constraint
        WHERE contype OPERATOR(pg_catalog.=) 'f' AND conparentid OPERATOR(pg_catalog.=) 0
    ) AS key
), part_of_key AS (
    -- The server makes one of a key for each partition, on either side, and hangs triggers on these.
    SELECT oid AS key, oid AS part FROM declared
    UNION ALL
    SELECT part_of_key.key, pg_constraint.oid
    FROM part_of_key
    JOIN pg_catalog.pg_constraint ON conparentid OPERATOR(pg_catalog.=) part_of_key.part
    WHERE contype OPERATOR(pg_catalog.=) 'f'
), fired AS (
    -- RI_FKey_check_ins and RI_FKey_check_upd, then RI_FKey_*_del (src/include/catalog/pg_proc.dat).
    SELECT part_of_key.key, tgrelid AS relation,
           pg_catalog.count(*) FILTER (
               WHERE tgfoid OPERATOR(pg_catalog.=) ANY ('{1644,1645}')
           ) OPERATOR(pg_catalog.=) 2 AS checks,
           pg_catalog.count(*) FILTER (
               WHERE tgfoid OPERATOR(pg_catalog.=) ANY ('{1646,1648,1650,1652,1654}')
           ) OPERATOR(pg_catalog.>) 0 AS fires
    FROM part_of_key
    JOIN pg_catalog.pg_trigger ON tgconstraint OPERATOR(pg_catalog.=) part_of_key.part
    WHERE tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}')
    GROUP BY part_of_key.key, tgrelid
), below AS (
    SELECT oid AS top, oid, relkind
    FROM pg_catalog.pg_class
    WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p}')
    UNION ALL
    SELECT below.top, pg_class.oid, pg_class.relkind
    FROM below
    JOIN pg_catalog.pg_inherits ON inhparent OPERATOR(pg_catalog.=) below.oid
    JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) inhrelid
    WHERE below.relkind OPERATOR(pg_catalog.=) 'p'
), side AS (
    SELECT oid AS key, confrelid AS top, true AS is_parent FROM declared
    UNION ALL
    SELECT oid, conrelid, false FROM declared
), guarded AS (
    SELECT side.key,
           pg_catalog.bool_and(coalesce(fired.fires, false)) FILTER (WHERE is_parent) AS fires,
           pg_catalog.bool_and(coalesce(fired.checks, false)) FILTER (WHERE NOT is_parent) AS checks
    FROM side
    JOIN below ON below.top OPERATOR(pg_catalog.=) side.top
    LEFT JOIN fired ON fired.key OPERATOR(pg_catalog.=) side.key
        AND fired.relation OPERATOR(pg_catalog.=) below.oid
    WHERE below.relkind OPERATOR(pg_catalog.=) 'r'
    GROUP BY side.key
), led AS (
    SELECT DISTINCT indrelid, indkey[0] AS first_column
    FROM pg_catalog.pg_index
    WHERE indisvalid
        -- Made while rows of the table were being changed in place, it serves only transactions from
        -- which on nothing older is open (src/backend/access/heap/README.HOT).
        AND (
            NOT indcheckxmin
            OR pg_catalog.age(pg_index.xmin)
                OPERATOR(pg_catalog.>) pg_catalog.age(
                    pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid
                )
        )
        -- A partial index serves if all it leaves out are rows that refer to nothing.
        AND (indpred IS NULL
            OR pg_catalog.pg_get_expr(indpred, indrelid)
                OPERATOR(pg_catalog.~) '^\((\S+) IS NOT NULL\)$')
), part AS (
    -- Of the pairs as they are ordered below; ORDER BY in each aggregate would sort anew for each.
    SELECT key,
           pg_catalog.array_agg(child_column) AS child_columns,
           pg_catalog.array_agg(parent_column) AS parent_columns,
           pg_catalog.array_agg(child_column) FILTER (WHERE is_set) AS set_columns,
           pg_catalog.array_agg(equal_schema) AS equal_schemas,
           pg_catalog.array_agg(equal_name) AS equal_names,
           pg_catalog.array_agg(collation_schema) AS collation_schemas,
           pg_catalog.array_agg(collation_name) AS collation_names,
           pg_catalog.bool_or(is_led) AS indexed,
           pg_catalog.min(strange) AS strange
    FROM (
        SELECT declared.oid AS key,
               child.attname AS child_column,
               parent.attname AS parent_column,
               operator_home.nspname AS equal_schema,
               oprname AS equal_name,
               collation_home.nspname AS collation_schema,
               collname AS collation_name,
               first_column IS NOT NULL AS is_led,
               confdelsetcols IS NULL OR child_number OPERATOR(pg_catalog.=) ANY (confdelsetcols) AS is_set,
               CASE WHEN pair.operator OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid THEN (
                   SELECT pg_catalog.format(
                       '%s, a function of %s',
                       pg_proc.oid::pg_catalog.regprocedure,
                       pg_catalog.pg_get_userbyid(proowner)
                   )
                   FROM (
                       SELECT oprcode::pg_catalog.oid AS function
                       UNION ALL
                       SELECT other.oprcode
                       FROM pg_catalog.pg_amop AS own
                       JOIN pg_catalog.pg_amop AS member
                         ON member.amopfamily OPERATOR(pg_catalog.=) own.amopfamily
                       JOIN pg_catalog.pg_operator AS other ON other.oid OPERATOR(pg_catalog.=) member.amopopr
                       WHERE own.amopopr OPERATOR(pg_catalog.=) pair.operator
                       UNION ALL
                       SELECT amproc
                       FROM pg_catalog.pg_amop AS own
                       JOIN pg_catalog.pg_amproc ON amprocfamily OPERATOR(pg_catalog.=) own.amopfamily
                       WHERE own.amopopr OPERATOR(pg_catalog.=) pair.operator
                   ) AS used
                   JOIN pg_catalog.pg_proc ON pg_proc.oid OPERATOR(pg_catalog.=) used.function
                   WHERE pg_proc.oid OPERATOR(pg_catalog.>=) 16384
                       AND NOT EXISTS (
                           SELECT FROM pg_catalog.pg_roles
                           WHERE pg_roles.oid OPERATOR(pg_catalog.=) proowner
                               AND (rolsuper OR rolname OPERATOR(pg_catalog.=) CURRENT_USER)
                       )
                   LIMIT 1
               ) END AS strange
        FROM declared
        CROSS JOIN LATERAL ROWS FROM (
            pg_catalog.unnest(conkey), pg_catalog.unnest(confkey), pg_catalog.unnest(conpfeqop)
        ) WITH ORDINALITY AS pair (child_number, parent_number, operator, place)
        -- LIMIT has each looked up by its number: the planner else reads all columns of the table for one.
        CROSS JOIN LATERAL (
            SELECT attname, attcollation FROM pg_catalog.pg_attribute
            WHERE attrelid OPERATOR(pg_catalog.=) conrelid AND attnum OPERATOR(pg_catalog.=) child_number
            LIMIT 1
        ) AS child
        CROSS JOIN LATERAL (
            SELECT attname, attcollation FROM pg_catalog.pg_attribute
            WHERE attrelid OPERATOR(pg_catalog.=) confrelid AND attnum OPERATOR(pg_catalog.=) parent_number
            LIMIT 1
        ) AS parent
        JOIN pg_catalog.pg_operator ON pg_operator.oid OPERATOR(pg_catalog.=) pair.operator
        JOIN pg_catalog.pg_namespace AS operator_home ON operator_home.oid OPERATOR(pg_catalog.=) oprnamespace
        LEFT JOIN pg_catalog.pg_collation
            ON pg_collation.oid OPERATOR(pg_catalog.=) parent.attcollation
                AND parent.attcollation OPERATOR(pg_catalog.<>) child.attcollation
        LEFT JOIN pg_catalog.pg_namespace AS collation_home
            ON collation_home.oid OPERATOR(pg_catalog.=) collnamespace
        LEFT JOIN led ON led.indrelid OPERATOR(pg_catalog.=) conrelid
            AND first_column OPERATOR(pg_catalog.=) child_number
        ORDER BY declared.oid, place
    ) AS pair
    GROUP BY key
)
SELECT declared.oid::bigint AS oid,
       conname AS name,
       conrelid::bigint AS child,
       confrelid::bigint AS parent,
       confdeltype::pg_catalog.text AS on_delete,
       part.child_columns,
       part.parent_columns,
       part.set_columns,
       part.equal_schemas,
       part.equal_names,
       part.collation_schemas,
       part.collation_names,
       part.indexed,
       part.strange,
       declared.conenforced AS enforced,
       coalesce(guarded.fires, true) AS fires,
       coalesce(guarded.checks, true) AS checks
FROM declared
JOIN part ON part.key OPERATOR(pg_catalog.=) declared.oid
LEFT JOIN guarded ON guarded.key OPERATOR(pg_catalog.=) declared.oid
ORDER BY declared.oid;
