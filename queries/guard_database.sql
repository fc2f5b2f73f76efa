-- May this database be changed: what is it called, what does its comment say, can it be written to, and with triggers?
SELECT d.datname::text AS database,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       pg_catalog.pg_is_in_recovery() AS is_standby,
       -- As a session begins: ours has set it itself.
       (SELECT reset_val = 'on' FROM pg_catalog.pg_show_all_settings()
        WHERE name = 'default_transaction_read_only') AS is_read_only,
       pg_catalog.current_setting('session_replication_role') = 'replica' AS skips_triggers
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database();
