-- Which locks does a session, or a prepared transaction, hold or wait for?
--
-- Parameters: pid (0 for a prepared transaction), gid. One row per lock and mode. What every transaction holds
-- on itself, and predicate locks, which block nobody, are left out.
SELECT lock.locktype,
       lock.database::bigint AS database,
       lock.relation::bigint AS relation,
       lock.page,
       lock.tuple,
       lock.virtualxid,
       lock.transactionid::pg_catalog.text::bigint AS transactionid,
       lock.classid::bigint AS classid,
       lock.objid::bigint AS objid,
       lock.objsubid::int AS objsubid,
       lock.mode,
       lock.granted
FROM pg_catalog.pg_lock_status() AS lock
LEFT JOIN pg_catalog.pg_stat_get_activity(lock.pid) AS activity ON activity.pid OPERATOR(pg_catalog.=) lock.pid
WHERE lock.mode OPERATOR(pg_catalog.<>) 'SIReadLock'
  AND NOT (lock.granted
      AND lock.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
      AND lock.locktype OPERATOR(pg_catalog.=) ANY ('{virtualxid,transactionid}'))
  AND CASE
      WHEN %(pid)s::int OPERATOR(pg_catalog.<>) 0
          THEN %(pid)s::int OPERATOR(pg_catalog.=) ANY (ARRAY[lock.pid, activity.leader_pid])
      ELSE lock.pid IS NULL AND lock.virtualtransaction OPERATOR(pg_catalog.=) ANY (
          SELECT own.virtualtransaction
          FROM pg_catalog.pg_prepared_xact() AS prepared
          JOIN pg_catalog.pg_lock_status() AS own
            ON own.pid IS NULL
                AND own.locktype OPERATOR(pg_catalog.=) 'transactionid'
                AND own.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
           AND own.transactionid OPERATOR(pg_catalog.=) prepared.transaction
          WHERE prepared.gid OPERATOR(pg_catalog.=) %(gid)s
      )
  END;
