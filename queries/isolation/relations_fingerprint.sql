-- Which tables, views and sequences are there, and how many columns have they?
--
-- A hash of all, temporary ones left out; and the first transaction id that isn't given yet.
SELECT coalesce(pg_catalog.md5(pg_catalog.string_agg(
           pg_catalog.concat_ws(' ', oid, relnamespace, relname, relkind, relnatts), ',' ORDER BY oid
       )), '') AS fingerprint,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text AS next_xid
FROM pg_catalog.pg_class
WHERE oid OPERATOR(pg_catalog.>=) 16384
  AND relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,S,f}'::pg_catalog.text[])
  AND relpersistence OPERATOR(pg_catalog.<>) 't';
