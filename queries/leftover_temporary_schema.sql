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
    WHERE pg_catalog.pg_stat_get_backend_dbid(number) = (SELECT database FROM own)
      AND pg_catalog.pg_stat_get_backend_pid(number) <> pg_catalog.pg_backend_pid()
), numbered AS (
    SELECT pg_catalog.current_setting('server_version_num')::int >= 160000 AS known
), content AS (
    SELECT relnamespace, count(*) AS relations, min(relname::text) AS example
    FROM pg_catalog.pg_class
    WHERE relpersistence = 't' AND relkind IN ('r', 'p', 'v', 'S')
    GROUP BY relnamespace
)
SELECT nspname AS name,
       CASE relations WHEN 1 THEN example ELSE relations || ' relations, such as ' || example END AS detail,
       CASE WHEN NOT known AND EXISTS (SELECT FROM connected) THEN 'unnumbered' END AS obstacle
FROM pg_catalog.pg_namespace
JOIN content ON relnamespace = pg_namespace.oid
CROSS JOIN numbered
WHERE nspname ~ '^pg_temp_[0-9]+$'
  AND pg_namespace.oid <> pg_catalog.pg_my_temp_schema()
  AND NOT (known AND substring(nspname::text FROM '[0-9]+$')::int IN (SELECT number FROM connected))
ORDER BY length(nspname::text), nspname;
