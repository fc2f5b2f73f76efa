-- Which indexes of this database are unusable, and nobody is building them now?
--
-- What a CREATE INDEX or REINDEX CONCURRENTLY that failed leaves. One that runs has its table locked, and
-- everybody may see that it runs.
SELECT nspname OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) index_class.relname AS name,
       'on ' OPERATOR(pg_catalog.||) table_class.relname
           OPERATOR(pg_catalog.||) CASE WHEN indisready THEN ', still kept up to date' ELSE '' END AS detail
FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class AS index_class ON index_class.oid OPERATOR(pg_catalog.=) indexrelid
JOIN pg_catalog.pg_class AS table_class ON table_class.oid OPERATOR(pg_catalog.=) indrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) index_class.relnamespace
WHERE NOT (indisvalid AND indisready AND indislive)
  AND nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}')
  AND nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp_'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_lock_status() AS lock
      WHERE lock.locktype OPERATOR(pg_catalog.=) 'relation'
        AND lock.relation OPERATOR(pg_catalog.=) indrelid
        AND lock.database OPERATOR(pg_catalog.=) (
            SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
        )
        AND lock.mode OPERATOR(pg_catalog.=) 'ShareUpdateExclusiveLock'
        AND lock.granted
        AND lock.pid OPERATOR(pg_catalog.=) ANY (
            SELECT pid FROM pg_catalog.pg_stat_get_progress_info('CREATE INDEX')
        )
  )
ORDER BY nspname, index_class.relname;
