-- How many sessions may this role have in this database at once, at most?
--
-- A limit of the role or the database doesn't bind superusers (InitializeSessionUserId, InitPostgres).
SELECT least(
    pg_catalog.current_setting('max_connections')::int
        OPERATOR(pg_catalog.-) pg_catalog.current_setting('superuser_reserved_connections')::int,
    (
        SELECT rolconnlimit FROM pg_catalog.pg_roles
        WHERE rolname OPERATOR(pg_catalog.=) CURRENT_USER
          AND NOT rolsuper
          AND rolconnlimit OPERATOR(pg_catalog.>=) 0
    ),
    (
        SELECT datconnlimit FROM pg_catalog.pg_database
        WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
          AND pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'off'
          AND datconnlimit OPERATOR(pg_catalog.>=) 0
    )
) AS sessions;
