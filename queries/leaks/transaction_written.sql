-- What has this session's transaction written, just before it is committed?
--
-- `xid` is NULL if it hasn't written. Tables by oid, partitions as their root. `inserted` and `changed` may
-- hold too many tables (the server's counters go back to what the session did a second ago), never too few:
-- each relation written to is still locked. Who locks one exclusively may have rewritten it, which gives
-- all its rows the transaction's id; an update that moves a row to another partition counts as a DELETE.
SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text AS xid,
       pg_catalog.round(extract(epoch FROM pg_catalog.transaction_timestamp())
           OPERATOR(pg_catalog.*) 1000000)::bigint AS started_us,
       pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on' AS is_counted,
       coalesce(pg_catalog.array_agg(DISTINCT root) FILTER (WHERE inserted OPERATOR(pg_catalog.>) 0),
           '{}') AS inserted,
       coalesce(
           pg_catalog.array_agg(DISTINCT root)
               FILTER (WHERE is_exclusive OR updated
                   OPERATOR(pg_catalog.>) 0 OR (is_partition AND deleted OPERATOR(pg_catalog.>) 0)),
           '{}'
       ) AS changed
FROM (
    SELECT coalesce(pg_catalog.pg_partition_root(relation)::pg_catalog.oid, relation)::bigint AS root,
           pg_catalog.pg_partition_root(relation)::pg_catalog.oid
               OPERATOR(pg_catalog.<>) relation AS is_partition,
           pg_catalog.bool_or(mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock') AS is_exclusive,
           pg_catalog.pg_stat_get_xact_tuples_inserted(relation) AS inserted,
           pg_catalog.pg_stat_get_xact_tuples_updated(relation) AS updated,
           pg_catalog.pg_stat_get_xact_tuples_deleted(relation) AS deleted
    FROM pg_catalog.pg_lock_status()
    WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
        AND locktype OPERATOR(pg_catalog.=) 'relation'
        AND mode OPERATOR(pg_catalog.=) ANY ('{RowExclusiveLock,AccessExclusiveLock}')
    GROUP BY relation
) AS held;
