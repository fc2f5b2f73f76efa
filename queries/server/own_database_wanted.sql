-- Does somebody drop, rename, move or copy the connected database, or wait to?
--
-- See wanted_databases.sql.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_lock_status() AS lock
    WHERE lock.locktype OPERATOR(pg_catalog.=) 'object' AND lock.classid OPERATOR(pg_catalog.=) 1262
      AND lock.mode OPERATOR(pg_catalog.=) ANY ('{ShareLock,AccessExclusiveLock}')
      AND lock.objid OPERATOR(pg_catalog.=) (
          SELECT own.datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS own
      )
) AS wanted;
