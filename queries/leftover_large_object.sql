-- How many large objects are there in this database, and whose?
--
-- One row an owner. Only their contents are private, not that they are there.
SELECT 'of ' || pg_catalog.pg_get_userbyid(lomowner) AS name,
       count(*) || CASE count(*) WHEN 1 THEN ' large object: ' ELSE ' large objects: ' END
           || array_to_string((array_agg(oid::text ORDER BY oid))[1:5], ', ')
           || CASE WHEN count(*) > 5 THEN ', …' ELSE '' END AS detail
FROM pg_catalog.pg_largeobject_metadata
GROUP BY lomowner
ORDER BY name;
