-- Which tables hold the rows of these tables, how large are they, and may they be indexed?
--
-- %(roots)s: oids of tables, of which a partitioned one stands for its leaves. %(locked)s: oids of tables
-- that are locked just now, whose size can't be asked for without waiting.
WITH RECURSIVE below AS (
    SELECT root, root AS oid FROM pg_catalog.unnest(%(roots)s::bigint[]::pg_catalog.oid[]) AS root
    UNION
    SELECT below.root, inhrelid
    FROM below
    JOIN pg_catalog.pg_inherits ON inhparent OPERATOR(pg_catalog.=) below.oid
    -- Tables that merely inherit are counted by themselves.
    JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) inhrelid AND relispartition
)
SELECT below.root::bigint AS root,
       pg_class.oid::bigint AS oid,
       nspname AS schema,
       relname AS table,
       CASE WHEN pg_class.oid OPERATOR(pg_catalog.=) ANY (%(locked)s::bigint[]::pg_catalog.oid[])
            THEN greatest(relpages, 0)::bigint
                OPERATOR(pg_catalog.*) pg_catalog.current_setting('block_size')::bigint
            -- NULL if it is gone by now.
            ELSE coalesce(pg_catalog.pg_relation_size(pg_class.oid), 0) END AS bytes,
       pg_catalog.pg_get_userbyid(relowner) AS owner,
       pg_catalog.pg_has_role(relowner, 'USAGE') AS owned,
       coalesce(pg_catalog.has_schema_privilege(relnamespace, 'CREATE'), false) AS may_create
FROM below
JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) below.oid
    AND relkind OPERATOR(pg_catalog.=) ANY ('{r,m}')
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
ORDER BY nspname, relname;
