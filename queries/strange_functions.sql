-- Are there functions in this database that belong neither to us nor to a superuser?
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_proc
    WHERE pg_proc.oid >= 16384
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_roles
            WHERE pg_roles.oid = proowner AND (rolsuper OR rolname = CURRENT_USER)
        )
) AS strange;
