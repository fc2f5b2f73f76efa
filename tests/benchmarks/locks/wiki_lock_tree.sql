-- Which session blocks which, level by level, by the lock table alone?
--
-- The method of "Recursive View of Blocking" at https://wiki.postgresql.org/wiki/Lock_dependency_information:
-- a table of conflicting modes, a self-join of pg_locks on the whole target, and recursion over it.
WITH RECURSIVE conflict (wanted, held) AS (
    VALUES
        ('AccessShareLock'::text, 'AccessExclusiveLock'::text),
        ('RowShareLock', 'ExclusiveLock'),
        ('RowShareLock', 'AccessExclusiveLock'),
        ('RowExclusiveLock', 'ShareLock'),
        ('RowExclusiveLock', 'ShareRowExclusiveLock'),
        ('RowExclusiveLock', 'ExclusiveLock'),
        ('RowExclusiveLock', 'AccessExclusiveLock'),
        ('ShareUpdateExclusiveLock', 'ShareUpdateExclusiveLock'),
        ('ShareUpdateExclusiveLock', 'ShareLock'),
        ('ShareUpdateExclusiveLock', 'ShareRowExclusiveLock'),
        ('ShareUpdateExclusiveLock', 'ExclusiveLock'),
        ('ShareUpdateExclusiveLock', 'AccessExclusiveLock'),
        ('ShareLock', 'RowExclusiveLock'),
        ('ShareLock', 'ShareUpdateExclusiveLock'),
        ('ShareLock', 'ShareRowExclusiveLock'),
        ('ShareLock', 'ExclusiveLock'),
        ('ShareLock', 'AccessExclusiveLock'),
        ('ShareRowExclusiveLock', 'RowExclusiveLock'),
        ('ShareRowExclusiveLock', 'ShareUpdateExclusiveLock'),
        ('ShareRowExclusiveLock', 'ShareLock'),
        ('ShareRowExclusiveLock', 'ShareRowExclusiveLock'),
        ('ShareRowExclusiveLock', 'ExclusiveLock'),
        ('ShareRowExclusiveLock', 'AccessExclusiveLock'),
        ('ExclusiveLock', 'RowShareLock'),
        ('ExclusiveLock', 'RowExclusiveLock'),
        ('ExclusiveLock', 'ShareUpdateExclusiveLock'),
        ('ExclusiveLock', 'ShareLock'),
        ('ExclusiveLock', 'ShareRowExclusiveLock'),
        ('ExclusiveLock', 'ExclusiveLock'),
        ('ExclusiveLock', 'AccessExclusiveLock'),
        ('AccessExclusiveLock', 'AccessShareLock'),
        ('AccessExclusiveLock', 'RowShareLock'),
        ('AccessExclusiveLock', 'RowExclusiveLock'),
        ('AccessExclusiveLock', 'ShareUpdateExclusiveLock'),
        ('AccessExclusiveLock', 'ShareLock'),
        ('AccessExclusiveLock', 'ShareRowExclusiveLock'),
        ('AccessExclusiveLock', 'ExclusiveLock'),
        ('AccessExclusiveLock', 'AccessExclusiveLock')
), lock AS (
    SELECT (locktype, database, relation::regclass::text, page, tuple, virtualxid, transactionid, classid,
            objid, objsubid) AS target,
           pid, mode, granted
    FROM pg_catalog.pg_locks
), direct AS (
    SELECT holder.target AS blocker_target, holder.pid AS blocker_pid, holder.mode AS blocker_mode,
           waiter.target, waiter.pid, waiter.mode
    FROM lock AS holder
    JOIN lock AS waiter ON NOT waiter.granted AND holder.granted AND waiter.pid <> holder.pid
                       AND waiter.target IS NOT DISTINCT FROM holder.target
    JOIN conflict ON conflict.wanted = waiter.mode AND conflict.held = holder.mode
), tree AS (
    SELECT blocker_target, blocker_pid, blocker_mode, 1 AS depth, target, pid, mode,
           blocker_pid::text || ',' || pid::text AS path
    FROM direct
    UNION ALL
    SELECT tree.blocker_target, tree.blocker_pid, tree.blocker_mode, tree.depth + 1, next.target, next.pid,
           next.mode, tree.path || ',' || next.pid::text
    FROM tree JOIN direct AS next ON next.blocker_pid = tree.pid
    WHERE tree.depth < 1000
)
SELECT * FROM tree ORDER BY path;
