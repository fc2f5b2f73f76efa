-- Which server is this, started when, and of which cluster?
--
-- A standby has the system identifier of its primary, so that alone doesn't tell a server from another.
SELECT pg_catalog.pg_postmaster_start_time() AS server_started,
       (SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()) AS system_identifier;
