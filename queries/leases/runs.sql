-- Which runs live on this server, as the sessions that hold their leases announce them?
--
-- `databases`: those that a run works in, of those that are there. `is_here`: it works in the one that is
-- asked about, or wants it for itself. Who merely bears such a name holds no lease, and isn't listed.
-- Parameters: lease_key; prefix of the application names; database, NULL for none.
WITH held AS MATERIALIZED (
    SELECT DISTINCT lock.pid, lock.objid::bigint AS number
    FROM pg_catalog.pg_lock_status() AS lock
    WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
      AND lock.granted
      AND lock.classid OPERATOR(pg_catalog.=) %(lease_key)s::pg_catalog.oid
      AND lock.objsubid OPERATOR(pg_catalog.=) 2
), database AS MATERIALIZED (
    SELECT datname::pg_catalog.text AS name,
           pg_catalog.hashtext(
               'on:' OPERATOR(pg_catalog.||) datname::pg_catalog.text COLLATE pg_catalog."C"
           )::bigint OPERATOR(pg_catalog.&) 4294967295 AS number
    FROM pg_catalog.pg_database
), wanted AS MATERIALIZED (
    SELECT pg_catalog.hashtext(
               kind OPERATOR(pg_catalog.||) %(database)s::pg_catalog.text COLLATE pg_catalog."C"
           )::bigint OPERATOR(pg_catalog.&) 4294967295 AS number
    FROM pg_catalog.unnest('{on:,alone:}'::pg_catalog.text[]) AS kind
)
SELECT session.pid,
       session.application_name,
       session.query AS statement,
       (
           SELECT pg_catalog.array_agg(database.name ORDER BY database.name)
           FROM held JOIN database ON database.number OPERATOR(pg_catalog.=) held.number
           WHERE held.pid OPERATOR(pg_catalog.=) session.pid
       ) AS databases,
       EXISTS (
           SELECT FROM held JOIN wanted ON wanted.number OPERATOR(pg_catalog.=) held.number
           WHERE held.pid OPERATOR(pg_catalog.=) session.pid
       ) AS is_here
FROM pg_catalog.pg_stat_get_activity(NULL) AS session
WHERE session.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
  AND pg_catalog.starts_with(session.application_name, %(prefix)s::pg_catalog.text)
  AND EXISTS (SELECT FROM held WHERE held.pid OPERATOR(pg_catalog.=) session.pid)
ORDER BY session.pid;
