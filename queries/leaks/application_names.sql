-- What do sessions call themselves, in which a test may be named?
SELECT DISTINCT application_name
FROM pg_catalog.pg_stat_get_activity(NULL)
WHERE application_name OPERATOR(pg_catalog.<>) '';
