-- What are the roles called that have these OIDs?
--
-- A function, not pg_roles: rewriting and planning a view reads far more catalogs, which may be locked.
SELECT wanted.oid, pg_catalog.pg_get_userbyid(wanted.oid)::pg_catalog.text
FROM pg_catalog.unnest(%(oids)s::pg_catalog.oid[]) AS wanted (oid);
