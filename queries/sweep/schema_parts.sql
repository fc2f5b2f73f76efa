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
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.name
), relation AS MATERIALIZED (
    SELECT pg_class.oid, relname, relkind, relowner
    FROM pg_catalog.pg_class
    JOIN target ON relnamespace OPERATOR(pg_catalog.=) target.oid
    WHERE relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}')
), depth AS (
    SELECT relation.oid, relation.oid AS root, 0 AS level
    FROM relation
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid OPERATOR(pg_catalog.=) relation.oid)
    UNION
    SELECT inhrelid, root, level OPERATOR(pg_catalog.+) 1
    FROM depth
    JOIN pg_catalog.pg_inherits ON inhparent OPERATOR(pg_catalog.=) depth.oid
), deepest AS (
    SELECT oid, pg_catalog.min(root) AS root, pg_catalog.max(level) AS level FROM depth GROUP BY oid
), dependent AS (
    SELECT depend.refobjid AS oid, pg_catalog.count(*) AS number
    FROM relation
    JOIN pg_catalog.pg_depend AS depend
      ON depend.refobjid OPERATOR(pg_catalog.=) relation.oid
          AND depend.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    GROUP BY depend.refobjid
), reference AS (
    SELECT conrelid AS referring, confrelid AS referred
    FROM pg_catalog.pg_constraint
    WHERE contype OPERATOR(pg_catalog.=) 'f'
), foreign_key AS (
    SELECT oid, pg_catalog.count(*) AS number, pg_catalog.bool_or(elsewhere) AS elsewhere
    FROM (
        SELECT relation.oid, other.oid IS NULL AS elsewhere
        FROM relation
        JOIN reference ON reference.referring OPERATOR(pg_catalog.=) relation.oid
        LEFT JOIN relation AS other ON other.oid OPERATOR(pg_catalog.=) reference.referred
        UNION ALL
        SELECT relation.oid, false
        FROM relation
        JOIN reference ON reference.referred OPERATOR(pg_catalog.=) relation.oid
    ) AS one
    GROUP BY oid
), hub AS (
    SELECT target.root, pg_catalog.count(*) AS referring
    FROM reference
    JOIN deepest AS target ON target.oid OPERATOR(pg_catalog.=) reference.referred
    LEFT JOIN deepest AS source ON source.oid OPERATOR(pg_catalog.=) reference.referring
    WHERE (source.root OPERATOR(pg_catalog.=) target.root) IS NOT TRUE
    GROUP BY target.root
), part AS (
    SELECT CASE
               WHEN relation.relkind OPERATOR(pg_catalog.=) 'v' THEN 'VIEW'
               WHEN relation.relkind OPERATOR(pg_catalog.=) 'm' THEN 'MATERIALIZED VIEW'
               WHEN relation.relkind OPERATOR(pg_catalog.=) 'f' THEN 'FOREIGN TABLE'
               WHEN relation.relkind OPERATOR(pg_catalog.=) 'S' THEN 'SEQUENCE'
               ELSE 'TABLE'
           END AS kind,
           relation.oid,
           relation.relname AS name,
           '{}'::pg_catalog.name[] AS argument_schemas,
           '{}'::pg_catalog.name[] AS argument_types,
           -- TOAST table and index, the array's type, a rule; and a foreign key's other table and triggers.
           5 OPERATOR(pg_catalog.+) coalesce(dependent.number, 0)
               OPERATOR(pg_catalog.+) (6 OPERATOR(pg_catalog.*) coalesce(foreign_key.number, 0)) AS locks,
           relation.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}')
               AND pg_catalog.pg_has_role(relation.relowner, 'USAGE') AS can_lock,
           CASE
               WHEN relation.relkind OPERATOR(pg_catalog.=) 'v' THEN 1
               WHEN relation.relkind OPERATOR(pg_catalog.=) 'm' THEN 1
               WHEN relation.relkind OPERATOR(pg_catalog.=) 'S' THEN 3
               ELSE 2 END AS stage,
           coalesce(foreign_key.elsewhere, false) AS refers_elsewhere,
           coalesce(deepest.level, 0) AS level,
           coalesce(hub.referring, 0) AS referring
    FROM relation
    LEFT JOIN deepest ON deepest.oid OPERATOR(pg_catalog.=) relation.oid
    LEFT JOIN hub ON hub.root OPERATOR(pg_catalog.=) deepest.root
    LEFT JOIN dependent ON dependent.oid OPERATOR(pg_catalog.=) relation.oid
    LEFT JOIN foreign_key ON foreign_key.oid OPERATOR(pg_catalog.=) relation.oid
    WHERE NOT (
        relation.relkind OPERATOR(pg_catalog.=) 'S' AND EXISTS (
            SELECT FROM pg_catalog.pg_depend AS owned
            WHERE owned.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
              AND owned.objid OPERATOR(pg_catalog.=) relation.oid
              AND owned.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
              AND owned.deptype OPERATOR(pg_catalog.=) ANY ('{a,i}')
        )
    )
    UNION ALL
    SELECT 'ROUTINE', pg_proc.oid, proname, argument.schemas, argument.types, 2, false, 4, false, 0, 0
    FROM pg_catalog.pg_proc
    JOIN target ON pronamespace OPERATOR(pg_catalog.=) target.oid
    CROSS JOIN LATERAL (
        SELECT coalesce(pg_catalog.array_agg(nspname ORDER BY position), '{}') AS schemas,
               coalesce(pg_catalog.array_agg(typname ORDER BY position), '{}') AS types
        FROM pg_catalog.unnest(proargtypes::pg_catalog.oid[]) WITH ORDINALITY AS given (type, position)
        JOIN pg_catalog.pg_type ON pg_type.oid OPERATOR(pg_catalog.=) given.type
        JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) typnamespace
    ) AS argument
    -- Not what comes with a range type: its constructors.
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS owned
        WHERE owned.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
          AND owned.objid OPERATOR(pg_catalog.=) pg_proc.oid
          AND owned.deptype OPERATOR(pg_catalog.=) 'i'
    )
    UNION ALL
    SELECT 'TYPE', pg_type.oid, typname, '{}', '{}', 8, false, 5, false, 0, 0
    FROM pg_catalog.pg_type
    JOIN target ON typnamespace OPERATOR(pg_catalog.=) target.oid
    -- Neither a relation's type nor what comes with another type: arrays, multiranges.
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS owned
        WHERE owned.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
          AND owned.objid OPERATOR(pg_catalog.=) pg_type.oid
          AND owned.deptype OPERATOR(pg_catalog.=) 'i'
          AND owned.refclassid
              OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.pg_class'::pg_catalog.regclass,
                  'pg_catalog.pg_type'::pg_catalog.regclass])
    )
)
SELECT kind, name, argument_schemas, argument_types, locks, can_lock
FROM part
ORDER BY refers_elsewhere DESC, stage, referring, level DESC, oid DESC;
