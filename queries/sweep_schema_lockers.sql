-- Who else works in this schema just now?
--
-- One row: a session that has locked a relation of the schema, or waits to, and how many more there are.
-- `pid` is NULL for a prepared transaction.
-- Parameter: schema.
WITH locker AS (
    SELECT DISTINCT ON (lock.pid, lock.virtualtransaction) lock.pid, class.relname::text AS relation
    FROM pg_catalog.pg_lock_status() AS lock
    JOIN pg_catalog.pg_class AS class ON class.oid = lock.relation
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = %(schema)s::name
      AND lock.database = (SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
      AND lock.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
      AND lock.mode <> 'SIReadLock'
    ORDER BY lock.pid, lock.virtualtransaction, class.relname
)
SELECT locker.relation,
       locker.pid,
       coalesce(activity.application_name, '') AS application_name,
       count(*) OVER () - 1 AS others
FROM locker
LEFT JOIN pg_catalog.pg_stat_get_activity(NULL) AS activity ON activity.pid = locker.pid
ORDER BY locker.pid
LIMIT 1;
