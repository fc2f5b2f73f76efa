-- Who has written something in this database, and neither committed it nor rolled it back?
--
-- Sessions with their pid and application's name; prepared transactions with theirs, without a pid.
SELECT pid, coalesce(application_name, '') AS name
FROM pg_catalog.pg_stat_get_activity(NULL)
JOIN pg_catalog.pg_database ON pg_database.oid OPERATOR(pg_catalog.=) datid
WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
  AND backend_xid IS NOT NULL
  AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
UNION ALL
SELECT NULL, gid
FROM pg_catalog.pg_prepared_xact()
JOIN pg_catalog.pg_database ON pg_database.oid OPERATOR(pg_catalog.=) dbid
WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database();
