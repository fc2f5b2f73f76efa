-- Which transactions are prepared in the connected database, since when, and whose are they?
--
-- `gid_bytes` is the name as it is stored: what a reader of another database sees of it.
SELECT gid,
       pg_catalog.convert_to(gid, pg_catalog.getdatabaseencoding()) AS gid_bytes,
       prepared,
       pg_catalog.pg_get_userbyid(ownerid) AS owner
FROM pg_catalog.pg_prepared_xact()
WHERE dbid OPERATOR(pg_catalog.=) (
    SELECT oid
    FROM pg_catalog.pg_database
    WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
);
