-- Which database is this, who are we in it, and which transaction is the oldest that isn't over?
SELECT pg_catalog.current_database()::pg_catalog.text AS database,
       current_user::pg_catalog.text AS role,
       pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.text AS xmin;
