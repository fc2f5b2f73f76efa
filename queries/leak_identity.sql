-- Which database is this, who are we in it, and which types do columns of its users' relations have?
--
-- One row. 16384 is FirstNormalObjectId (src/include/access/transam.h): what is below is the server's own.
SELECT pg_catalog.current_database()::text AS database,
       current_user::text AS role,
       ARRAY(
           SELECT DISTINCT atttypid::bigint
           FROM pg_catalog.pg_attribute
           WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped
       ) AS types;
