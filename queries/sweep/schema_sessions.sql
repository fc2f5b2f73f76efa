-- Who else is in this database, and whose last statement names this schema?
--
-- One row per client; the statements of other roles' sessions are hidden without pg_monitor (`names_it` is NULL).
-- Parameters: schema, own_name.
SELECT activity.pid,
       coalesce(activity.application_name, '') AS application_name,
       CASE
           WHEN pg_catalog.pg_has_role(activity.usesysid, 'USAGE') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
               THEN pg_catalog.strpos(activity.query, %(schema)s) OPERATOR(pg_catalog.>) 0
       END AS names_it
FROM pg_catalog.pg_stat_get_activity(NULL) AS activity
WHERE activity.datid OPERATOR(pg_catalog.=) (
          SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
      )
  AND activity.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
  AND activity.usesysid IS NOT NULL
  AND coalesce(activity.application_name, '') OPERATOR(pg_catalog.<>) %(own_name)s
ORDER BY activity.pid;
