-- What is there to drop in this schema, in which order, and how many locks does each take?
--
-- One row for everything that is dropped by itself: relations but for what belongs to one (indexes, the
-- sequences of serial and identity columns), routines and types. First what others depend on less: views,
-- newest first; tables, with their partitions, that few refer to before those that many refer to; partitions
-- before their roots; and those that refer to tables elsewhere, which may be in use, before all. `locks` is
-- about how many locks it takes: one for itself and each thing that depends on it, and some for what depends on
-- those.
-- `argument_schemas` and `argument_types` tell routines of one name apart.
-- Parameter: schema.
WITH RECURSIVE target AS (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s::name
), relation AS MATERIALIZED (
    SELECT pg_class.oid, relname, relkind, relowner
    FROM pg_catalog.pg_class
    JOIN target ON relnamespace = target.oid
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
), depth AS (
    SELECT relation.oid, relation.oid AS root, 0 AS level
    FROM relation
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = relation.oid)
    UNION
    SELECT inhrelid, root, level + 1 FROM depth JOIN pg_catalog.pg_inherits ON inhparent = depth.oid
), deepest AS (
    SELECT oid, min(root) AS root, max(level) AS level FROM depth GROUP BY oid
), dependent AS (
    SELECT depend.refobjid AS oid, count(*) AS number
    FROM relation
    JOIN pg_catalog.pg_depend AS depend
      ON depend.refobjid = relation.oid AND depend.refclassid = 'pg_catalog.pg_class'::regclass
    GROUP BY depend.refobjid
), reference AS (
    SELECT conrelid AS referring, confrelid AS referred
    FROM pg_catalog.pg_constraint
    WHERE contype = 'f'
), foreign_key AS (
    SELECT oid, count(*) AS number, bool_or(elsewhere) AS elsewhere
    FROM (
        SELECT relation.oid, other.oid IS NULL AS elsewhere
        FROM relation
        JOIN reference ON reference.referring = relation.oid
        LEFT JOIN relation AS other ON other.oid = reference.referred
        UNION ALL
        SELECT relation.oid, false
        FROM relation
        JOIN reference ON reference.referred = relation.oid
    ) AS one
    GROUP BY oid
), hub AS (
    SELECT target.root, count(*) AS referring
    FROM reference
    JOIN deepest AS target ON target.oid = reference.referred
    LEFT JOIN deepest AS source ON source.oid = reference.referring
    WHERE source.root IS DISTINCT FROM target.root
    GROUP BY target.root
), part AS (
    SELECT CASE relation.relkind
               WHEN 'v' THEN 'VIEW'
               WHEN 'm' THEN 'MATERIALIZED VIEW'
               WHEN 'f' THEN 'FOREIGN TABLE'
               WHEN 'S' THEN 'SEQUENCE'
               ELSE 'TABLE'
           END AS kind,
           relation.oid,
           relation.relname AS name,
           '{}'::name[] AS argument_schemas,
           '{}'::name[] AS argument_types,
           -- TOAST table and index, the array's type, a rule; and a foreign key's other table and triggers.
           5 + coalesce(dependent.number, 0) + 6 * coalesce(foreign_key.number, 0) AS locks,
           relation.relkind IN ('r', 'p') AND pg_catalog.pg_has_role(relation.relowner, 'USAGE') AS can_lock,
           CASE relation.relkind WHEN 'v' THEN 1 WHEN 'm' THEN 1 WHEN 'S' THEN 3 ELSE 2 END AS stage,
           coalesce(foreign_key.elsewhere, false) AS refers_elsewhere,
           coalesce(deepest.level, 0) AS level,
           coalesce(hub.referring, 0) AS referring
    FROM relation
    LEFT JOIN deepest ON deepest.oid = relation.oid
    LEFT JOIN hub ON hub.root = deepest.root
    LEFT JOIN dependent ON dependent.oid = relation.oid
    LEFT JOIN foreign_key ON foreign_key.oid = relation.oid
    WHERE NOT (
        relation.relkind = 'S' AND EXISTS (
            SELECT FROM pg_catalog.pg_depend AS owned
            WHERE owned.classid = 'pg_catalog.pg_class'::regclass AND owned.objid = relation.oid
              AND owned.refclassid = 'pg_catalog.pg_class'::regclass AND owned.deptype IN ('a', 'i')
        )
    )
    UNION ALL
    SELECT 'ROUTINE', pg_proc.oid, proname, argument.schemas, argument.types, 2, false, 4, false, 0, 0
    FROM pg_catalog.pg_proc
    JOIN target ON pronamespace = target.oid
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(nspname ORDER BY position), '{}') AS schemas,
               coalesce(array_agg(typname ORDER BY position), '{}') AS types
        FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS given (type, position)
        JOIN pg_catalog.pg_type ON pg_type.oid = given.type
        JOIN pg_catalog.pg_namespace ON pg_namespace.oid = typnamespace
    ) AS argument
    -- Not what comes with a range type: its constructors.
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS owned
        WHERE owned.classid = 'pg_catalog.pg_proc'::regclass AND owned.objid = pg_proc.oid
          AND owned.deptype = 'i'
    )
    UNION ALL
    SELECT 'TYPE', pg_type.oid, typname, '{}', '{}', 8, false, 5, false, 0, 0
    FROM pg_catalog.pg_type
    JOIN target ON typnamespace = target.oid
    -- Neither a relation's type nor what comes with another type: arrays, multiranges.
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS owned
        WHERE owned.classid = 'pg_catalog.pg_type'::regclass AND owned.objid = pg_type.oid
          AND owned.deptype = 'i'
          AND owned.refclassid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_type'::regclass)
    )
)
SELECT kind, name, argument_schemas, argument_types, locks, can_lock
FROM part
ORDER BY refers_elsewhere DESC, stage, referring, level DESC, oid DESC;
