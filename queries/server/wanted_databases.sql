-- Which databases does somebody drop, rename, move or copy, or wait to?
--
-- One row per session that does.
-- In these modes a lock on a database keeps new sessions out of it, and its holder waits 5 s for the others
-- to leave (CountOtherDBBackends, src/backend/storage/ipc/procarray.c). 1262 is pg_database
-- (src/include/catalog/pg_database.h).
SELECT lock.objid AS oid, lock.pid
FROM pg_catalog.pg_lock_status() AS lock
WHERE lock.locktype OPERATOR(pg_catalog.=) 'object' AND lock.classid OPERATOR(pg_catalog.=) 1262
  AND lock.objid OPERATOR(pg_catalog.<>) 0
  AND lock.mode OPERATOR(pg_catalog.=) ANY ('{ShareLock,AccessExclusiveLock}');
