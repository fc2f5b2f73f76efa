-- Which role are we, and does it have the privileges of the predefined roles that matter?
SELECT rolname AS role,
       rolsuper AS superuser,
       rolinherit AS inherits,
       -- Before 15 membership is enough, whether it is inherited or not (HAS_PGSTAT_PERMISSIONS, pgstatfuncs.c).
       pg_catalog.pg_has_role('pg_read_all_stats', CASE
           WHEN pg_catalog.current_setting('server_version_num')::int OPERATOR(pg_catalog.<) 150000
               THEN 'MEMBER'
               ELSE 'USAGE'
       END) AS reads_all_stats,
       pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') AS signals_backends
FROM pg_catalog.pg_roles
WHERE rolname OPERATOR(pg_catalog.=) current_user;
