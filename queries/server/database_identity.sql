-- Which database is this, who are we in it, and which transactions are over?
SELECT pg_catalog.current_database()::pg_catalog.text AS database,
       current_user::pg_catalog.text AS role,
       pg_catalog.pg_current_snapshot()::pg_catalog.text AS snapshot;
