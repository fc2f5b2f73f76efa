-- How many rows has this transaction inserted, updated and deleted, by table, whoever's trigger it was?
--
-- Only tables with any. What earlier transactions of the session haven't reported yet is in it as well, and
-- what a savepoint took back (pgstat_relation.c): compare two of these.
SELECT oid,
       pg_catalog.pg_stat_get_xact_tuples_inserted(oid::pg_catalog.oid) AS inserted,
       pg_catalog.pg_stat_get_xact_tuples_updated(oid::pg_catalog.oid) AS updated,
       pg_catalog.pg_stat_get_xact_tuples_deleted(oid::pg_catalog.oid) AS deleted
FROM pg_catalog.unnest(%(oids)s::pg_catalog.int8[]) AS asked (oid)
WHERE pg_catalog.pg_stat_get_xact_tuples_inserted(oid::pg_catalog.oid)
    OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(oid::pg_catalog.oid)
    OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(oid::pg_catalog.oid)
    OPERATOR(pg_catalog.>) 0;
