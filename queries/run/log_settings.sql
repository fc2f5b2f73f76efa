-- How does the server write its log: each line's prefix, in which time zone, and does it log lock waits?
SELECT pg_catalog.current_setting('log_line_prefix') AS line_prefix,
       pg_catalog.current_setting('log_timezone') AS time_zone,
       pg_catalog.current_setting('log_lock_waits')::boolean AS logs_waits,
       (SELECT datid::bigint FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())) AS database_oid;
