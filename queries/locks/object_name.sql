-- What is this object called, with its kind: `schema audit`?
-- Parameters: classid (its catalog), objid, objsubid. 13 raises an error for an object that isn't committed.
SELECT pg_catalog.pg_describe_object(%(classid)s::pg_catalog.oid, %(objid)s::pg_catalog.oid, %(objsubid)s::int);
