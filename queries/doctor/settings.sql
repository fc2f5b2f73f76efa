-- How are the settings that help to diagnose tests set, for new sessions of our role in this database?
--
-- `reset_val`, since our own session has changed some for itself.
SELECT name, reset_val AS value, unit, pending_restart
FROM pg_catalog.pg_show_all_settings()
WHERE name OPERATOR(pg_catalog.=) ANY (
    '{
        track_commit_timestamp,
        log_lock_waits,
        log_line_prefix,
        deadlock_timeout,
        max_prepared_transactions,
        idle_in_transaction_session_timeout
    }'
)
ORDER BY name;
