-- Cancel what this session does.
SELECT pg_catalog.pg_cancel_backend(%(pid)s);
