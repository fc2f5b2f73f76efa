-- Can the catalogs of this database be read, or has a session locked one of them?
SELECT EXISTS (SELECT FROM pg_catalog.pg_type) AS pg_type,
       EXISTS (SELECT FROM pg_catalog.pg_namespace) AS pg_namespace,
       EXISTS (SELECT FROM pg_catalog.pg_class) AS pg_class,
       EXISTS (SELECT FROM pg_catalog.pg_attribute) AS pg_attribute,
       EXISTS (SELECT FROM pg_catalog.pg_proc) AS pg_proc,
       EXISTS (SELECT FROM pg_catalog.pg_operator) AS pg_operator;
