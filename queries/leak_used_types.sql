-- Which types do columns of other than the server's own relations have?
--
-- One row: their oids. 16384 is FirstNormalObjectId (src/include/access/transam.h).
SELECT coalesce(pg_catalog.array_agg(DISTINCT atttypid::bigint), '{}') AS types
FROM pg_catalog.pg_attribute
WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped;
