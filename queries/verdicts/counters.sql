-- How often has each table been written to, which transactions are over, and what time is it?
--
-- Each of `tables`, which are separated by commas: oid, file, rows inserted, updated and deleted, and the xmin of its
-- catalog row, separated by spaces. As text, since it is read after each test that has written.
SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text AS snapshot,
       pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on' AS is_counted,
       pg_catalog.current_setting('track_commit_timestamp') OPERATOR(pg_catalog.=) 'on' AS has_commit_times,
       pg_catalog.round(
           extract(epoch FROM pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000
       )::bigint AS now_us,
       coalesce(
           pg_catalog.string_agg(
               pg_catalog.concat_ws(
                   ' ', pg_class.oid, relfilenode, inserted, updated, deleted, pg_class.xmin
               ), ','
           ), ''
       ) AS tables
FROM pg_catalog.pg_class
CROSS JOIN LATERAL (
    SELECT pg_catalog.pg_stat_get_tuples_inserted(pg_class.oid) AS inserted,
           pg_catalog.pg_stat_get_tuples_updated(pg_class.oid) AS updated,
           pg_catalog.pg_stat_get_tuples_deleted(pg_class.oid) AS deleted
) AS counted
WHERE relkind OPERATOR(pg_catalog.=) 'r'
    AND relpersistence OPERATOR(pg_catalog.<>) 't'
    AND pg_class.oid OPERATOR(pg_catalog.>=) 16384;
