-- What are these relations called, what kind are they, which columns are their primary key and their other
-- unique keys, which tables refer to them, and may we read their rows?
--
-- `unique_keys`: the columns of each unique or exclusion index, or its name if it has expressions; the
-- primary key last, since it is mostly made up by a sequence.
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
       ), '{}') AS key_columns,
       coalesce((
           SELECT json_agg(coalesce(columns, json_build_array(name)) ORDER BY is_primary, name)
           FROM (
               SELECT index.indisprimary AS is_primary,
                      index_class.relname AS name,
                      CASE WHEN index.indexprs IS NULL THEN (
                          SELECT json_agg(attribute.attname ORDER BY key.position)
                          FROM unnest(index.indkey::int2[]) WITH ORDINALITY AS key (attnum, position)
                          JOIN pg_catalog.pg_attribute AS attribute
                            ON attribute.attrelid = index.indrelid AND attribute.attnum = key.attnum
                          WHERE key.position <= index.indnkeyatts
                      ) END AS columns
               FROM pg_catalog.pg_index AS index
               JOIN pg_catalog.pg_class AS index_class ON index_class.oid = index.indexrelid
               WHERE index.indrelid = class.oid AND (index.indisunique OR index.indisexclusion)
           ) AS unique_index
       ), '[]') AS unique_keys,
       coalesce((
           SELECT array_agg(conrelid::bigint ORDER BY conrelid)
           FROM pg_catalog.pg_constraint
           WHERE confrelid = class.oid AND contype = 'f'
       ), '{}') AS referencing,
       coalesce(pg_catalog.has_table_privilege(class.oid, 'SELECT'), false) AS is_readable
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE class.oid = ANY (%(oids)s::oid[]);
