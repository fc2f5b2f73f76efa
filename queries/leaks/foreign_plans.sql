-- Whose functions could be run when a statement on a table is planned, though it only reads the table?
--
-- The planner computes what has only constants for arguments in the expressions and predicates of a table's
-- indexes, statistics objects and partition keys (src/backend/utils/cache/relcache.c,
-- RelationGetIndexExpressions; src/backend/optimizer/util/plancat.c). One row for each way in which a table, or
-- a root of partitions above it, uses a function that belongs neither to us nor to a superuser: itself
-- (`reference` is funcid), behind an operator (opno), or as the canonical function of a range type (NULL). `trees`
-- are the expressions as they are stored (leaks/expression_trees.py tells what of them is computed); `in_plans`
-- is whether more than the call becomes part of a plan: its body, if that is SQL and neither settings nor another
-- role go with it, or what its arguments are by default.
WITH RECURSIVE before_14 AS (
    -- `stxexprs` came with 14: where pg_statistic_ext has none, the name finds this one.
    SELECT NULL::pg_catalog.pg_node_tree AS stxexprs
), strange AS (
    SELECT pg_proc.oid, proname, pronamespace, proowner,
           -- 14 is SQL (src/include/catalog/pg_language.dat).
           pronargdefaults OPERATOR(pg_catalog.>) 0
               OR (prolang OPERATOR(pg_catalog.=) 14 AND proconfig IS NULL AND NOT prosecdef) AS in_plans
    FROM pg_catalog.pg_proc
    WHERE pg_proc.oid OPERATOR(pg_catalog.>=) 16384
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_roles
            WHERE pg_roles.oid OPERATOR(pg_catalog.=) proowner
                AND (rolsuper OR rolname OPERATOR(pg_catalog.=) CURRENT_USER)
        )
), behind AS (
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, oid, oid AS function, 'funcid' AS reference
    FROM strange
    UNION ALL
    SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, pg_operator.oid, strange.oid, 'opno'
    FROM strange
    JOIN pg_catalog.pg_operator ON oprcode OPERATOR(pg_catalog.=) strange.oid
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, rngtypid, strange.oid, NULL
    FROM strange
    JOIN pg_catalog.pg_range ON rngcanonical OPERATOR(pg_catalog.=) strange.oid
), used AS (
    SELECT coalesce(indrelid, stxrelid, pg_depend.objid) AS oid, function, reference, behind.oid AS referred,
           ARRAY[
               indexprs::pg_catalog.text,
               indpred::pg_catalog.text,
               statistics.stxexprs::pg_catalog.text,
               partexprs::pg_catalog.text
           ] AS trees
    FROM behind
    JOIN pg_catalog.pg_depend ON refclassid OPERATOR(pg_catalog.=) class
        AND refobjid OPERATOR(pg_catalog.=) behind.oid
        AND objsubid OPERATOR(pg_catalog.=) 0
    LEFT JOIN pg_catalog.pg_index
        ON pg_depend.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
            AND indexrelid OPERATOR(pg_catalog.=) pg_depend.objid
    LEFT JOIN pg_catalog.pg_partitioned_table
        ON pg_depend.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
            AND partrelid OPERATOR(pg_catalog.=) pg_depend.objid
    LEFT JOIN (
        SELECT found.*
        FROM before_14
        CROSS JOIN LATERAL (SELECT oid, stxrelid, stxexprs FROM pg_catalog.pg_statistic_ext) AS found
    ) AS statistics
        ON pg_depend.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
            AND statistics.oid OPERATOR(pg_catalog.=) pg_depend.objid
    WHERE pg_depend.classid OPERATOR(pg_catalog.=) ANY (ARRAY[
        'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
    ])
), affected AS (
    SELECT oid, function, reference, referred, trees FROM used
    UNION
    SELECT inhparent, function, reference, referred, trees
    FROM affected
    JOIN pg_catalog.pg_inherits ON inhrelid OPERATOR(pg_catalog.=) affected.oid
)
SELECT affected.oid::bigint AS oid,
       pg_catalog.format('%I.%I', nspname, proname) AS function,
       pg_catalog.pg_get_userbyid(proowner)::pg_catalog.text AS owner,
       in_plans,
       reference,
       referred::bigint AS referred,
       pg_catalog.array_remove(trees, NULL) AS trees
FROM affected
JOIN strange ON strange.oid OPERATOR(pg_catalog.=) function
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) pronamespace
ORDER BY affected.oid, 2;
