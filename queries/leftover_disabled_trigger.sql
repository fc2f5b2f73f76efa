-- Which triggers of this database's tables are disabled, those that enforce foreign keys included?
--
-- A constraint's triggers on one table are one row; those that partitions inherit are left to their root.
SELECT nspname || '.' || relname || ': ' || coalesce(conname, tgname) AS name,
       CASE
           WHEN NOT tgisinternal THEN 'trigger'
           WHEN contype = 'f' THEN 'foreign key: not enforced by this table'
           ELSE 'constraint: not enforced'
       END AS detail
FROM (
    SELECT DISTINCT
           nspname, relname, tgisinternal, contype,
           CASE WHEN tgisinternal THEN conname END AS conname,
           CASE WHEN tgisinternal AND conname IS NOT NULL THEN '' ELSE tgname END AS tgname
    FROM pg_catalog.pg_trigger
    JOIN pg_catalog.pg_class ON pg_class.oid = tgrelid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
    LEFT JOIN pg_catalog.pg_constraint ON pg_constraint.oid = tgconstraint
    WHERE tgenabled = 'D'
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_trigger AS parent
          WHERE parent.oid = pg_trigger.tgparentid AND parent.tgenabled = 'D'
      )
      AND nspname !~ '^pg_'
) AS disabled
ORDER BY name;
