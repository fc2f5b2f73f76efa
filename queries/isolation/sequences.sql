-- Which sequences are in this database, and what was the last value that each has given?
--
-- NULL: none yet.
SELECT seqrelid::bigint AS oid, pg_catalog.pg_sequence_last_value(seqrelid) AS last_value, seqstart AS start
FROM pg_catalog.pg_sequence
JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) seqrelid
WHERE relpersistence OPERATOR(pg_catalog.<>) 't'
ORDER BY seqrelid;
