-- In which tables can't rows be locked and deleted now, because somebody has or wants the table itself?
--
-- One row a table: modes that conflict with ROW EXCLUSIVE, held, or asked for (whoever comes then queues
-- behind them).
SELECT DISTINCT lock.relation::bigint AS oid
FROM pg_catalog.pg_lock_status() AS lock
WHERE lock.locktype = 'relation'
    AND lock.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND lock.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    AND lock.pid IS DISTINCT FROM pg_catalog.pg_backend_pid();
