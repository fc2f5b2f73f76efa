-- Which table are the rows of, all of them?
--
-- A column of children.sql and parents.sql, where they are of one.
pg_catalog.min($row.tableoid)
