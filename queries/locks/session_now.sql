-- What is this session doing now, as far as our role may see it, and whose is it?
--
-- No row: it has ended.
-- Parameter: pid.
SELECT backend_start,
       CASE WHEN usesysid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN usesysid END AS user_oid,
       CASE WHEN datid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN datid END AS database_oid,
       coalesce(application_name, '') AS application_name,
       state,
       query_start
FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer);
