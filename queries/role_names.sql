-- What are the roles called?
SELECT oid, rolname FROM pg_catalog.pg_roles;
