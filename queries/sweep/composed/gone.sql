-- Which rows has one of several DELETEs in a statement deleted?
SELECT n, tid, version, pg_catalog.date_part('epoch', pg_catalog.statement_timestamp()) FROM $gone
