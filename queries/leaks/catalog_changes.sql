-- Has any table, column, schema or partition been made or changed since a moment?
--
-- Parameter: xmin, the oldest transaction that wasn't over at that moment, as text. What one wrote that was
-- over by then, or belongs to temporary tables, is no change; that something was dropped isn't told. And which
-- transactions are over now.
WITH moment AS (
    SELECT pg_catalog.age(%(xmin)s::pg_catalog.xid) AS age
)
SELECT (
           EXISTS (
               SELECT FROM pg_catalog.pg_class
               WHERE oid OPERATOR(pg_catalog.>=) 16384
                   AND relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f}')
                   AND relpersistence OPERATOR(pg_catalog.<>) 't'
                   AND pg_catalog.age(pg_class.xmin) OPERATOR(pg_catalog.<=) moment.age
           )
           OR EXISTS (
               SELECT FROM pg_catalog.pg_namespace
               WHERE nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'
                   AND pg_catalog.age(pg_namespace.xmin) OPERATOR(pg_catalog.<=) moment.age
           )
           OR EXISTS (
               SELECT FROM pg_catalog.pg_inherits
               WHERE pg_catalog.age(pg_inherits.xmin) OPERATOR(pg_catalog.<=) moment.age
           )
           OR EXISTS (
               SELECT
               FROM pg_catalog.pg_attribute
               JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) attrelid
                   AND relpersistence OPERATOR(pg_catalog.<>) 't'
               WHERE attrelid OPERATOR(pg_catalog.>=) 16384
                   AND attnum OPERATOR(pg_catalog.>) 0
                   AND relkind OPERATOR(pg_catalog.=) ANY ('{r,p,m,f,c}')
                   AND pg_catalog.age(pg_attribute.xmin) OPERATOR(pg_catalog.<=) moment.age
           )
       ) AS changed,
       pg_catalog.pg_current_snapshot()::pg_catalog.text AS snapshot
FROM moment;
