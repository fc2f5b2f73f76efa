-- When were these transactions committed, in microseconds since 1970?
SELECT asked.xid AS xid,
       round(extract(epoch FROM pg_catalog.pg_xact_commit_timestamp(mod(asked.xid, 4294967296)::text::xid))
             * 1000000)::bigint AS committed_us
FROM unnest(%(xids)s::bigint[]) AS asked (xid);
