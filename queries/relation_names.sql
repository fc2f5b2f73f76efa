-- What are these relations called, what kind are they, and which columns are their primary key?
-- Parameter: oids, an array of relation OIDs of the connected database.
SELECT class.oid,
       namespace.nspname,
       class.relname,
       CASE class.relkind
           WHEN 'r' THEN 'table'
           WHEN 'p' THEN 'partitioned table'
           WHEN 'i' THEN 'index'
           WHEN 'I' THEN 'partitioned index'
           WHEN 'S' THEN 'sequence'
           WHEN 'v' THEN 'view'
           WHEN 'm' THEN 'materialized view'
           WHEN 't' THEN 'TOAST table'
           WHEN 'f' THEN 'foreign table'
           ELSE 'relation'
       END AS kind,
       coalesce((
           SELECT array_agg(attribute.attname::text ORDER BY key.position)
           FROM pg_catalog.pg_index AS index
           CROSS JOIN LATERAL unnest(index.indkey::int2[]) WITH ORDINALITY AS key (attnum, position)
           JOIN pg_catalog.pg_attribute AS attribute
             ON attribute.attrelid = index.indrelid AND attribute.attnum = key.attnum
           WHERE index.indrelid = class.oid AND index.indisprimary AND key.position <= index.indnkeyatts
       ), '{}') AS key_columns
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.oid = ANY (%(oids)s::oid[]);
