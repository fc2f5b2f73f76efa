-- Which leaf is each of the rows of?
--
-- A column of children.sql and parents.sql, where they are of several.
pg_catalog.string_agg(pg_catalog.oidsend($row.tableoid), ''::pg_catalog.bytea)
