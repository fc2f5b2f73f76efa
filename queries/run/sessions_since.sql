-- How many other sessions have come to this database in the last seconds?
--
-- Those whose beginning is hidden from our role count. Our own monitors and leases don't.
-- Parameter: seconds.
SELECT pg_catalog.count(*)::int AS sessions
FROM pg_catalog.pg_stat_get_activity(NULL)
WHERE datid OPERATOR(pg_catalog.=) (
    SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
)
    AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
    AND (backend_type OPERATOR(pg_catalog.=) 'client backend') IS NOT FALSE
    AND (application_name OPERATOR(pg_catalog.~~) 'pgwatch-tests%%') IS NOT TRUE
    AND (application_name OPERATOR(pg_catalog.~~) 'pgwatch-run %%') IS NOT TRUE
    AND (backend_start OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
        pg_catalog.make_interval(secs => %(seconds)s::pg_catalog.float8))) IS NOT TRUE;
