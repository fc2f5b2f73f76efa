-- When did a statement begin (epoch)?
--
-- A further column of delete.sql, where that is all of a statement.
, pg_catalog.date_part('epoch', pg_catalog.statement_timestamp())
