-- Are there functions whose effects the lock table doesn't tell: advisory locks, notifications, other servers?
--
-- A block that catches an exception is among them: its locks are gone when it is undone (AbortSubTransaction,
-- src/backend/access/transam/xact.c). A body of the SQL standard (BEGIN ATOMIC) isn't in prosrc.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_proc
    WHERE pronamespace OPERATOR(pg_catalog.<>) CAST('pg_catalog' AS pg_catalog.regnamespace)
        AND CASE WHEN prosrc OPERATOR(pg_catalog.=) '' AND prokind OPERATOR(pg_catalog.<>) 'a'
                 THEN pg_catalog.pg_get_functiondef(oid) ELSE prosrc END
            OPERATOR(pg_catalog.~*) 'advisory|notify|dblink|setval|exception\s+when|subtransaction'
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend
            WHERE classid OPERATOR(pg_catalog.=) CAST('pg_catalog.pg_proc' AS pg_catalog.regclass)
                AND objid OPERATOR(pg_catalog.=) pg_proc.oid AND deptype OPERATOR(pg_catalog.=) 'e'
        )
);
