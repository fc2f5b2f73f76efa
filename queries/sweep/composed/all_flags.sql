-- What do all these rows say of themselves?
--
-- A further column of sweep_children and sweep_parents.
, pg_catalog.string_agg(pg_catalog.int8send($flags), ''::pg_catalog.bytea)
