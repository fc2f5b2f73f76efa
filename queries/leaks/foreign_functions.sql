-- Are there functions in this database that belong neither to us nor to a superuser?
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_proc
    WHERE pg_proc.oid OPERATOR(pg_catalog.>=) 16384
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_roles
            WHERE pg_roles.oid OPERATOR(pg_catalog.=) proowner
                AND (rolsuper OR rolname OPERATOR(pg_catalog.=) CURRENT_USER)
        )
) AS strange;
