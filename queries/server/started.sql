-- When was this server started?
SELECT pg_catalog.pg_postmaster_start_time() AS server_started;
