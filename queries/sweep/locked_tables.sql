-- In which tables can't rows be locked and deleted now, because somebody has or wants the table itself?
--
-- One row per table: modes that conflict with ROW EXCLUSIVE, held, or asked for (whoever comes then queues
-- behind them).
SELECT DISTINCT lock.relation::bigint AS oid
FROM pg_catalog.pg_lock_status() AS lock
WHERE lock.locktype OPERATOR(pg_catalog.=) 'relation'
    AND lock.database OPERATOR(pg_catalog.=) (
        SELECT oid
        FROM pg_catalog.pg_database
        WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
    )
    AND lock.mode
        OPERATOR(pg_catalog.=) ANY ('{ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}')
    AND (lock.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) IS NOT TRUE;
