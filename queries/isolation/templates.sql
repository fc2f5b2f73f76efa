-- Which template databases are there, whose are they, and what does their comment say?
--
-- Those whose names begin with this prefix.
-- Parameter: prefix.
SELECT datname::pg_catalog.text AS name,
       coalesce(pg_catalog.shobj_description(pg_database.oid, 'pg_database'), '') AS comment,
       pg_catalog.pg_has_role(datdba, 'USAGE') AS is_ours
FROM pg_catalog.pg_database
WHERE pg_catalog.starts_with(datname::pg_catalog.text, %(prefix)s::pg_catalog.text)
ORDER BY datname;
