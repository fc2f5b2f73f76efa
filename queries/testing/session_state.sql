-- What of this session outlives its transactions: settings, channels, temporary relations, advisory locks?
--
-- A setting comes with its value and the one that the session began with. Outside of a transaction.
-- An advisory lock is told as in pg_locks: both halves of its key without a sign, and 1 for one key, 2 for two.
-- Parameters: custom_settings, names with a dot, which no catalog lists.
SELECT 'setting' AS kind, setting.name AS name, setting.setting AS value, setting.reset_val AS initially
FROM pg_catalog.pg_show_all_settings() AS setting
WHERE setting.source OPERATOR(pg_catalog.=) 'session'
  AND setting.name OPERATOR(pg_catalog.<>) ALL (
          '{application_name,transaction_isolation,transaction_read_only,transaction_deferrable}'::pg_catalog.text[])
UNION ALL
SELECT 'setting', 'role', pg_catalog.current_setting('role'), 'none'
UNION ALL
SELECT 'setting', custom.name, pg_catalog.current_setting(custom.name, true), NULL
FROM pg_catalog.unnest(%(custom_settings)s::pg_catalog.text[]) AS custom (name)
UNION ALL
SELECT 'listen', channel.name, NULL, NULL
FROM pg_catalog.pg_listening_channels() AS channel (name)
UNION ALL
SELECT 'temporary', class.relname, NULL, NULL
FROM pg_catalog.pg_class AS class
WHERE class.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
  AND class.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,S,f,m}'::pg_catalog."char"[])
UNION ALL
SELECT 'lock', pg_catalog.concat_ws(' ', lock.classid, lock.objid, lock.objsubid), lock.mode, NULL
FROM pg_catalog.pg_lock_status() AS lock
WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory' AND lock.granted
  AND lock.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid();
