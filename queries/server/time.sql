-- Which server is it, by when it was started, and what time is it there?
SELECT pg_catalog.pg_postmaster_start_time() AS server_started, pg_catalog.clock_timestamp() AS now;
