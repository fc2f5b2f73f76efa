-- Who else works in this schema just now?
--
-- One row: a session that has locked the schema or a relation of it, or waits to, and how many more there are.
-- `relation` is empty for the schema: whoever creates something in it keeps it locked, also where nobody else can
-- see that yet. `pid` is NULL for a prepared transaction.
-- Parameter: schema.
WITH locker AS (
    SELECT DISTINCT ON (lock.pid, lock.virtualtransaction)
        lock.pid,
        coalesce(class.relname::pg_catalog.text, '') AS relation
    FROM pg_catalog.pg_lock_status() AS lock
    LEFT JOIN pg_catalog.pg_class AS class ON class.oid OPERATOR(pg_catalog.=) lock.relation
    JOIN pg_catalog.pg_namespace AS namespace
      ON namespace.oid OPERATOR(pg_catalog.=) class.relnamespace
          OR lock.locktype OPERATOR(pg_catalog.=) 'object'
          AND lock.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
          AND lock.objid OPERATOR(pg_catalog.=) namespace.oid
    WHERE namespace.nspname OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.name
      AND lock.database OPERATOR(pg_catalog.=) (
          SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
      )
      AND (lock.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) IS NOT TRUE
      AND lock.mode OPERATOR(pg_catalog.<>) 'SIReadLock'
    ORDER BY lock.pid, lock.virtualtransaction, class.relname NULLS LAST
)
SELECT locker.relation,
       locker.pid,
       coalesce(activity.application_name, '') AS application_name,
       pg_catalog.count(*) OVER () OPERATOR(pg_catalog.-) 1 AS others
FROM locker
LEFT JOIN pg_catalog.pg_stat_get_activity(NULL) AS activity ON activity.pid OPERATOR(pg_catalog.=) locker.pid
ORDER BY locker.pid
LIMIT 1;
