-- Which cluster is this?
SELECT system_identifier::pg_catalog.text AS identifier FROM pg_catalog.pg_control_system();
