-- Which indexes of this database are unusable, and nobody is building them now?
--
-- What a CREATE INDEX or REINDEX CONCURRENTLY that failed leaves. One that runs has its table locked, and
-- everybody may see that it runs.
SELECT nspname || '.' || index_class.relname AS name,
       'on ' || table_class.relname || CASE WHEN indisready THEN ', still kept up to date' ELSE '' END AS detail
FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class AS index_class ON index_class.oid = indexrelid
JOIN pg_catalog.pg_class AS table_class ON table_class.oid = indrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = index_class.relnamespace
WHERE NOT (indisvalid AND indisready AND indislive)
  AND nspname NOT IN ('pg_catalog', 'information_schema')
  AND nspname !~ '^pg_(toast_)?temp_'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lock
      WHERE lock.locktype = 'relation'
        AND lock.relation = indrelid
        AND lock.database = (
            SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
        )
        AND lock.mode = 'ShareUpdateExclusiveLock'
        AND lock.granted
        AND lock.pid IN (SELECT pid FROM pg_catalog.pg_stat_get_progress_info('CREATE INDEX'))
  )
ORDER BY nspname, index_class.relname;
