-- Which flags do these rows have: marked, asked for, how old?
--
-- A further column of children.sql and parents.sql.
, pg_catalog.string_agg(pg_catalog.int8send($flags), ''::pg_catalog.bytea)
