-- Are there functions whose effects the lock table doesn't tell: advisory locks, notifications, other servers?
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_proc
    WHERE pronamespace OPERATOR(pg_catalog.<>) CAST('pg_catalog' AS pg_catalog.regnamespace)
        AND prosrc OPERATOR(pg_catalog.~*) 'advisory|notify|dblink|setval'
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend
            WHERE classid OPERATOR(pg_catalog.=) CAST('pg_catalog.pg_proc' AS pg_catalog.regclass)
                AND objid OPERATOR(pg_catalog.=) pg_proc.oid AND deptype OPERATOR(pg_catalog.=) 'e'
        )
);
