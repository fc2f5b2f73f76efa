-- Which constraint of this database is the newest?
--
-- Another answer than before: constraints have been made since then.
SELECT pg_catalog.max(oid) AS newest FROM pg_catalog.pg_constraint;
