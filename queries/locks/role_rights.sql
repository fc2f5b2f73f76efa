-- Whose sessions may our role signal?
--
-- One row per role: a session may be signalled with the privileges of its role, or of pg_signal_backend; a
-- superuser's by superusers only (pg_signal_backend in src/backend/storage/ipc/signalfuncs.c).
SELECT role.oid::bigint AS oid,
       pg_catalog.quote_ident(role.rolname) AS name,
       role.rolsuper AS is_superuser,
       pg_catalog.pg_has_role(role.oid, 'USAGE') AS has_privileges,
       role.rolname OPERATOR(pg_catalog.=) current_user AS is_own
FROM pg_catalog.pg_roles AS role;
