-- Which tables are there, what do the statistics say was written to them, and may their rows be looked at?
--
-- One row per table, partition, partition root, materialised view or foreign table, in all schemas but the
-- server's own. `parent` is the root, or the level below it, that a partition is read through. `keys` are
-- the columns of the primary key that may be read.
WITH before_14 AS (
    -- `inhdetachpending` came with 14: where pg_inherits has none, the name finds this one.
    SELECT false AS inhdetachpending
), attached AS (
    SELECT link.*
    FROM before_14
    CROSS JOIN LATERAL (
        SELECT inhrelid, inhparent, inhdetachpending,
               pg_catalog.concat_ws(' ', inhrelid, inhparent, pg_inherits.xmin) AS others
        FROM pg_catalog.pg_inherits
        JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) inhrelid AND relispartition
    ) AS link
    -- A partition whose DETACH CONCURRENTLY was cut off isn't read through its root any more.
    WHERE NOT link.inhdetachpending
), primary_key AS (
    -- The privilege is asked for here, not in WHERE, where it would be asked for each column there is.
    SELECT indrelid,
           pg_catalog.array_agg(attname ORDER BY place) FILTER (
               WHERE pg_catalog.has_column_privilege(attrelid, attnum, 'SELECT')
           ) AS columns
    FROM pg_catalog.pg_index
    CROSS JOIN LATERAL pg_catalog.unnest(indkey::smallint[]) WITH ORDINALITY AS part (number, place)
    JOIN pg_catalog.pg_attribute ON attrelid OPERATOR(pg_catalog.=) indrelid
        AND attnum OPERATOR(pg_catalog.=) part.number
    WHERE indisprimary AND indrelid OPERATOR(pg_catalog.>=) 16384 AND place OPERATOR(pg_catalog.<=) indnkeyatts
    GROUP BY indrelid
)
SELECT pg_class.oid::bigint AS oid,
       nspname AS schema,
       relname AS table,
       relkind::pg_catalog.text AS kind,
       relfilenode::bigint AS filenode,
       (pg_catalog.pg_stat_get_tuples_inserted(pg_class.oid)
           OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_tuples_updated(pg_class.oid)
           OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_tuples_deleted(pg_class.oid))::bigint AS written,
       pg_catalog.pg_stat_get_tuples_updated(pg_class.oid) AS updated,
       inhparent::bigint AS parent,
       greatest(relpages, 0)::bigint AS pages,
       relispopulated AS populated,
       primary_key.columns AS keys,
       -- NULL if it is gone by now. -2 is xmin (src/include/access/sysattr.h).
       pg_catalog.has_schema_privilege(relnamespace, 'USAGE') AS schema_usage,
       pg_catalog.has_column_privilege(pg_class.oid, (-2)::smallint, 'SELECT') AS readable,
       coalesce(pg_catalog.row_security_active(pg_class.oid), false) AS row_security,
       pg_catalog.pg_get_userbyid(relowner) AS owner,
       pg_class.xmin::pg_catalog.text::bigint AS xmin,
       -- By which transactions its schema was made or changed last, and it was attached.
       pg_catalog.concat_ws(' ', pg_namespace.xmin, attached.others) AS others
FROM pg_catalog.pg_class
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace
LEFT JOIN attached ON inhrelid OPERATOR(pg_catalog.=) pg_class.oid
LEFT JOIN primary_key ON indrelid OPERATOR(pg_catalog.=) pg_class.oid
WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f}')
    AND relpersistence OPERATOR(pg_catalog.<>) 't'
    AND nspname OPERATOR(pg_catalog.!~) '^pg_'
    AND nspname OPERATOR(pg_catalog.<>) 'information_schema'
    -- Our own history of sweeps, which holds markers (record/sweep_history.py).
    AND NOT (
        nspname OPERATOR(pg_catalog.=) 'pgwatch_tests'
            AND relkind OPERATOR(pg_catalog.=) 'r'
            AND relname OPERATOR(pg_catalog.=) ANY ('{sweeps,layout}')
            AND EXISTS (
                SELECT FROM pg_catalog.pg_class AS layout
                WHERE layout.relnamespace OPERATOR(pg_catalog.=) pg_class.relnamespace
                    AND layout.relname OPERATOR(pg_catalog.=) 'layout'
            )
    )
ORDER BY nspname, relname;
