-- Which transactions are prepared in this database, since when, and may we roll them back?
--
-- `gid_bytes` is the name as a statement of this connection has to spell it; `transaction` tells two of one
-- name apart. Only the very role that prepared it may, and a superuser.
-- Parameter: database_oid; NULL for the connected one.
SELECT prepared.gid,
       pg_catalog.convert_to(prepared.gid, pg_catalog.pg_client_encoding()) AS gid_bytes,
       prepared.transaction::pg_catalog.text AS transaction,
       prepared.prepared,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) prepared.prepared
       )::pg_catalog.float8 AS age_s,
       pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(prepared.ownerid)) AS owner,
       role.rolsuper OR role.oid OPERATOR(pg_catalog.=) prepared.ownerid AS is_ours
FROM pg_catalog.pg_prepared_xact() AS prepared
JOIN pg_catalog.pg_roles AS role ON role.rolname OPERATOR(pg_catalog.=) current_user
WHERE prepared.dbid OPERATOR(pg_catalog.=) coalesce(
    %(database_oid)s::pg_catalog.oid, (
        SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
    )
)
ORDER BY prepared.prepared, prepared.gid;
