-- When were these transactions committed, in microseconds since 1970?
SELECT asked.xid AS xid,
       pg_catalog.round(
           extract(epoch FROM pg_catalog.pg_xact_commit_timestamp(
               pg_catalog.mod(asked.xid, 4294967296)::pg_catalog.text::pg_catalog.xid
           )) OPERATOR(pg_catalog.*) 1000000
       )::bigint AS committed_us
FROM pg_catalog.unnest(%(xids)s::bigint[]) AS asked (xid);
