-- May this database be changed: what is it called, what does its comment say, can it be written to, and with triggers?
SELECT d.datname::pg_catalog.text AS database,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       pg_catalog.pg_is_in_recovery() AS is_standby,
       -- As a session begins: ours has set it itself.
       (SELECT reset_val OPERATOR(pg_catalog.=) 'on' FROM pg_catalog.pg_show_all_settings()
        WHERE name OPERATOR(pg_catalog.=) 'default_transaction_read_only') AS is_read_only,
       pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica' AS skips_triggers
FROM pg_catalog.pg_database AS d
WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
