-- Is the server a standby, and does it see our connection encrypted by GSSAPI?
SELECT pg_catalog.pg_is_in_recovery() AS standby,
       coalesce((
           SELECT gss_enc FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
       ), false) AS gss_encrypted;
