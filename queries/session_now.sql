-- What is this session doing now, as far as our role may see it, and whose is it? No row: it has ended.
-- Parameter: pid.
SELECT backend_start,
       nullif(usesysid, 0::oid) AS user_oid,
       nullif(datid, 0::oid) AS database_oid,
       coalesce(application_name, '') AS application_name,
       state,
       query_start
FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer);
