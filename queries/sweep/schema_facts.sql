-- What is in this schema, how much is it, and when was it last created or altered?
--
-- One row; none without such a schema. `rows` is what the planner or the statistics think, without counting.
-- `identity` is another one once a relation, routine or type was created, altered or dropped, and for a schema on
-- another server or in another database, whose oid may be the same: both may be copies of one template.
-- `changed_s`: since the newest of the schema and its relations was created or altered; NULL if commits have no
-- times.
-- Parameter: schema.
WITH target AS (
    SELECT oid, xmin, nspname, nspowner
    FROM pg_catalog.pg_namespace
    WHERE nspname OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.name
), relation AS (
    SELECT class.oid, class.xmin, relkind, greatest(
        reltuples::pg_catalog.float8,
        pg_catalog.pg_stat_get_live_tuples(class.oid)::pg_catalog.float8,
        0
    ) AS rows
    FROM pg_catalog.pg_class AS class
    JOIN target ON relnamespace OPERATOR(pg_catalog.=) target.oid
    WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}')
), told AS (
    SELECT pg_catalog.count(*) FILTER (WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m}')) AS tables,
           pg_catalog.count(*) FILTER (WHERE relkind OPERATOR(pg_catalog.=) ANY ('{v,f,S}')) AS others,
           coalesce(
               pg_catalog.sum(rows) FILTER (WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,m}')), 0
           )::bigint AS rows
    FROM relation
), part AS (
    SELECT 'r' AS kind, oid, xmin FROM relation
    UNION ALL
    SELECT 'f', pg_proc.oid, pg_proc.xmin
    FROM pg_catalog.pg_proc JOIN target ON pronamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 't', pg_type.oid, pg_type.xmin
    FROM pg_catalog.pg_type JOIN target ON typnamespace OPERATOR(pg_catalog.=) target.oid
), seen AS (
    SELECT pg_catalog.md5(
               pg_catalog.string_agg(
                   pg_catalog.concat_ws(' ', kind, oid, xmin::pg_catalog.text), ',' ORDER BY kind, oid
               )
           ) AS digest
    FROM part
), written AS (
    SELECT xmin AS xid FROM target
    UNION ALL
    SELECT xmin FROM part
)
SELECT pg_catalog.concat_ws(
           ' ',
           target.oid,
           (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())),
           extract(epoch FROM pg_catalog.pg_postmaster_start_time()),
           digest
       ) AS identity,
       pg_catalog.current_database()::pg_catalog.text AS database,
       pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text AS owner,
       tables,
       others,
       rows,
       CASE
           WHEN pg_catalog.current_setting('track_commit_timestamp') OPERATOR(pg_catalog.=) 'on' THEN (
               SELECT extract(epoch FROM
                   pg_catalog.clock_timestamp()
                       OPERATOR(pg_catalog.-) pg_catalog.max(pg_catalog.pg_xact_commit_timestamp(xid))
               )::pg_catalog.float8
               FROM written
           )
       END AS changed_s
FROM target CROSS JOIN told CROSS JOIN seen;
