-- Can there be prepared transactions, how many are there, and how many aren't our role's own?
SELECT pg_catalog.current_setting('max_prepared_transactions')::int AS most,
       count(*)::int AS present,
       (count(*) FILTER (WHERE pg_catalog.pg_get_userbyid(ownerid) <> current_user))::int AS of_others
FROM pg_catalog.pg_prepared_xact();
