-- Which temporary schemas hold relations although the session that they belong to is gone?
--
-- pg_temp_N is of the session with the number N, which everybody may ask for from 16 on. One whose number a
-- session of this database has now is taken for that session's. Before 16, `obstacle` says that it can't
-- be told, unless nobody else is connected to this database.
WITH own AS (
    SELECT datid AS database FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
), connected AS MATERIALIZED (
    SELECT number
    FROM pg_catalog.pg_stat_get_backend_idset() AS number
    WHERE pg_catalog.pg_stat_get_backend_dbid(number) OPERATOR(pg_catalog.=) (SELECT database FROM own)
      AND pg_catalog.pg_stat_get_backend_pid(number) OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
), numbered AS (
    SELECT pg_catalog.current_setting('server_version_num')::int OPERATOR(pg_catalog.>=) 160000 AS known
), content AS (
    SELECT relnamespace, pg_catalog.count(*) AS relations, pg_catalog.min(relname::pg_catalog.text) AS example
    FROM pg_catalog.pg_class
    WHERE relpersistence OPERATOR(pg_catalog.=) 't' AND relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,S}')
    GROUP BY relnamespace
)
SELECT nspname AS name,
       CASE
           WHEN relations OPERATOR(pg_catalog.=) 1 THEN example
           ELSE relations OPERATOR(pg_catalog.||) ' relations, such as '
               OPERATOR(pg_catalog.||) example END AS detail,
       CASE WHEN NOT known AND EXISTS (SELECT FROM connected) THEN 'unnumbered' END AS obstacle
FROM pg_catalog.pg_namespace
JOIN content ON relnamespace OPERATOR(pg_catalog.=) pg_namespace.oid
CROSS JOIN numbered
WHERE nspname OPERATOR(pg_catalog.~) '^pg_temp_[0-9]+$'
  AND pg_namespace.oid OPERATOR(pg_catalog.<>) pg_catalog.pg_my_temp_schema()
  AND NOT (known AND substring(nspname::pg_catalog.text FROM '[0-9]+$')::int OPERATOR(pg_catalog.=) ANY (
      SELECT number FROM connected
  ))
ORDER BY pg_catalog.length(nspname::pg_catalog.text), nspname;
