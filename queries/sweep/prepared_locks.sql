-- Which relations does a prepared transaction lock, and which sessions wait for it?
--
-- One row per relation (`relation`, of this database) and per waiter (`pid`, `application_name`).
-- Parameter: transaction (its id, as text).
WITH lock AS MATERIALIZED (
    SELECT pid,
           virtualtransaction,
           granted,
           locktype,
           mode,
           database,
           relation,
           transactionid::pg_catalog.text AS transaction,
           -- What it locks, as a text that two locks of the same thing share.
           pg_catalog.concat_ws(
               '/', locktype, coalesce(database, 0), coalesce(relation, 0), coalesce(page, -1),
               coalesce(tuple::int, -1), coalesce(transactionid::pg_catalog.text, ''), coalesce(classid, 0),
               coalesce(objid, 0), coalesce(objsubid::int, -1)
           ) AS tag
    FROM pg_catalog.pg_lock_status()
), held AS (
    SELECT lock.locktype, lock.database, lock.relation, lock.tag
    FROM lock AS own
    JOIN lock ON lock.virtualtransaction OPERATOR(pg_catalog.=) own.virtualtransaction
    WHERE own.pid IS NULL
      AND own.locktype OPERATOR(pg_catalog.=) 'transactionid'
      AND own.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
      AND own.transaction OPERATOR(pg_catalog.=) %(transaction)s
      AND lock.pid IS NULL
      AND lock.granted
), waiting AS (
    SELECT DISTINCT lock.pid
    FROM lock
    JOIN held ON held.tag OPERATOR(pg_catalog.=) lock.tag
    WHERE NOT lock.granted AND 0 OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(lock.pid))
)
SELECT DISTINCT pg_catalog.format('%%I.%%I', namespace.nspname, class.relname) AS relation,
       NULL::int AS pid,
       '' AS application_name
FROM held
JOIN pg_catalog.pg_class AS class ON class.oid OPERATOR(pg_catalog.=) held.relation
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid OPERATOR(pg_catalog.=) class.relnamespace
WHERE held.locktype OPERATOR(pg_catalog.=) 'relation'
  AND class.relkind OPERATOR(pg_catalog.<>) 'i'
  AND held.database OPERATOR(pg_catalog.=) (
      SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
  )
UNION ALL
SELECT '', waiting.pid, coalesce(activity.application_name, '')
FROM waiting
JOIN pg_catalog.pg_stat_get_activity(waiting.pid) AS activity
  ON activity.pid OPERATOR(pg_catalog.=) waiting.pid
ORDER BY 1, 2;
