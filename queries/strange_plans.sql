-- Whose functions would be run when a statement on a table is planned, though it only reads the table?
--
-- The planner computes what has only constants for arguments in the expressions and predicates of a table's
-- indexes, statistics objects and partition keys (src/backend/utils/cache/relcache.c,
-- RelationGetIndexExpressions; src/backend/optimizer/util/plancat.c). One row a table, or root of partitions
-- above it, whose expressions use a function that belongs neither to us nor to a superuser: itself, behind an
-- operator, or as the canonical function of a range type.
WITH RECURSIVE strange AS (
    SELECT pg_proc.oid, proname, pronamespace, proowner
    FROM pg_catalog.pg_proc
    WHERE pg_proc.oid OPERATOR(pg_catalog.>=) 16384
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_roles
            WHERE pg_roles.oid OPERATOR(pg_catalog.=) proowner
                AND (rolsuper OR rolname OPERATOR(pg_catalog.=) CURRENT_USER)
        )
), behind AS (
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS class, oid, oid AS function FROM strange
    UNION ALL
    SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, pg_operator.oid, strange.oid
    FROM strange
    JOIN pg_catalog.pg_operator ON oprcode OPERATOR(pg_catalog.=) strange.oid
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, rngtypid, strange.oid
    FROM strange
    JOIN pg_catalog.pg_range ON rngcanonical OPERATOR(pg_catalog.=) strange.oid
), used AS (
    SELECT coalesce(indrelid, stxrelid, pg_depend.objid) AS oid, function
    FROM behind
    JOIN pg_catalog.pg_depend ON refclassid OPERATOR(pg_catalog.=) class
        AND refobjid OPERATOR(pg_catalog.=) behind.oid
        AND objsubid OPERATOR(pg_catalog.=) 0
    LEFT JOIN pg_catalog.pg_index
        ON pg_depend.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
            AND indexrelid OPERATOR(pg_catalog.=) pg_depend.objid
    LEFT JOIN pg_catalog.pg_statistic_ext
        ON pg_depend.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
            AND pg_statistic_ext.oid OPERATOR(pg_catalog.=) pg_depend.objid
    WHERE pg_depend.classid OPERATOR(pg_catalog.=) ANY (
        ARRAY['pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass]
    )
), affected AS (
    SELECT oid, function FROM used
    UNION
    SELECT inhparent, function
    FROM affected
    JOIN pg_catalog.pg_inherits ON inhrelid OPERATOR(pg_catalog.=) affected.oid
)
SELECT affected.oid::bigint AS oid,
       pg_catalog.min(pg_catalog.format('%I.%I', nspname, proname)) AS function,
       pg_catalog.min(pg_catalog.pg_get_userbyid(proowner)::pg_catalog.text) AS owner
FROM affected
JOIN strange ON strange.oid OPERATOR(pg_catalog.=) function
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) pronamespace
GROUP BY affected.oid
ORDER BY affected.oid;
