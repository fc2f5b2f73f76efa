-- Which tables hold the rows of a partitioned table?
SELECT CAST(relid AS bigint) AS oid
FROM pg_catalog.pg_partition_tree(CAST(CAST(%(table)s AS pg_catalog.oid) AS pg_catalog.regclass))
WHERE isleaf;
