-- Which database is this, and who are we in it?
SELECT pg_catalog.current_database()::text AS database, current_user::text AS role;
