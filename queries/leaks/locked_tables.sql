-- Which tables of this database can't even be read now, because of an ACCESS EXCLUSIVE lock?
--
-- One row per table that somebody else has locked so, or queues for so (a reader then queues behind
-- them): the table itself, or a partition or an index that reading it would open.
WITH RECURSIVE held AS (
    SELECT DISTINCT relation AS oid
    FROM pg_catalog.pg_lock_status()
    WHERE locktype OPERATOR(pg_catalog.=) 'relation'
        AND mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock'
        -- Prepared transactions have no pid.
        AND (pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) IS NOT TRUE
        AND database OPERATOR(pg_catalog.=) (
            SELECT oid
            FROM pg_catalog.pg_database
            WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
        )
), opened AS (
    SELECT oid FROM held
    UNION
    SELECT indrelid FROM held JOIN pg_catalog.pg_index ON indexrelid OPERATOR(pg_catalog.=) held.oid
), affected AS (
    SELECT oid FROM opened
    UNION
    SELECT inhparent FROM affected JOIN pg_catalog.pg_inherits ON inhrelid OPERATOR(pg_catalog.=) affected.oid
)
SELECT oid::bigint AS oid FROM affected ORDER BY oid;
