-- Can there be prepared transactions, how many are there, and how many aren't our role's own?
SELECT pg_catalog.current_setting('max_prepared_transactions')::int AS most,
       pg_catalog.count(*)::int AS present,
       (pg_catalog.count(*) FILTER (
           WHERE pg_catalog.pg_get_userbyid(ownerid) OPERATOR(pg_catalog.<>) current_user))::int AS of_others
FROM pg_catalog.pg_prepared_xact();
