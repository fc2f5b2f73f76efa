-- What isn't this schema's own, but would go with it, or would lose a part?
--
-- One row: the first of them, extensions before all, and how many more there are. Everything that depends on
-- anything in the schema counts unless it is in the schema itself (then so does what depends on that, directly): views, foreign keys,
-- defaults, columns of its types, functions, tables that inherit from its own, casts between others' types …;
-- and what can't be dropped for itself: an extension or a member of one, a partition of a table elsewhere.
-- Parameter: schema.
WITH target AS (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.name
), inside AS MATERIALIZED (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS classid, pg_class.oid AS objid
    FROM pg_catalog.pg_class JOIN target ON relnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, pg_type.oid
    FROM pg_catalog.pg_type JOIN target ON typnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, pg_constraint.oid
    FROM pg_catalog.pg_constraint JOIN target ON connamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, pg_proc.oid
    FROM pg_catalog.pg_proc JOIN target ON pronamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, pg_operator.oid
    FROM pg_catalog.pg_operator JOIN target ON oprnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, pg_opclass.oid
    FROM pg_catalog.pg_opclass JOIN target ON opcnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, pg_opfamily.oid
    FROM pg_catalog.pg_opfamily JOIN target ON opfnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, pg_collation.oid
    FROM pg_catalog.pg_collation JOIN target ON collnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, pg_conversion.oid
    FROM pg_catalog.pg_conversion JOIN target ON connamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, pg_statistic_ext.oid
    FROM pg_catalog.pg_statistic_ext JOIN target ON stxnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, pg_ts_config.oid
    FROM pg_catalog.pg_ts_config JOIN target ON cfgnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, pg_ts_dict.oid
    FROM pg_catalog.pg_ts_dict JOIN target ON dictnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, pg_ts_parser.oid
    FROM pg_catalog.pg_ts_parser JOIN target ON prsnamespace OPERATOR(pg_catalog.=) target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, pg_ts_template.oid
    FROM pg_catalog.pg_ts_template JOIN target ON tmplnamespace OPERATOR(pg_catalog.=) target.oid
), depending AS MATERIALIZED (
    SELECT DISTINCT depend.classid, depend.objid, depend.objsubid
    FROM inside
    JOIN pg_catalog.pg_depend AS depend
      ON depend.refclassid OPERATOR(pg_catalog.=) inside.classid
          AND depend.refobjid OPERATOR(pg_catalog.=) inside.objid
    WHERE NOT ((depend.classid, depend.objid) OPERATOR(pg_catalog.=) ANY (SELECT classid, objid FROM inside))
      -- That a table is published goes with it, CASCADE or not.
      AND depend.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_publication_rel'::pg_catalog.regclass
), placed AS (
    -- `home` is the relation, operator family or type that it belongs to, where it is in no schema by itself.
    SELECT depending.*,
           CASE
               WHEN operator.oid IS NOT NULL OR procedure.oid IS NOT NULL
                   THEN 'pg_catalog.pg_opfamily'::pg_catalog.regclass
               WHEN conversion.oid IS NOT NULL THEN 'pg_catalog.pg_type'::pg_catalog.regclass
               ELSE 'pg_catalog.pg_class'::pg_catalog.regclass
           END::pg_catalog.oid AS home_classid,
           coalesce(
               expression.adrelid, rule.ev_class, trigger.tgrelid, policy.polrelid,
               operator.amopfamily, procedure.amprocfamily, conversion.castsource, 0
           ) AS home,
           coalesce(conversion.casttarget, 0) AS casttarget
    FROM depending
    LEFT JOIN pg_catalog.pg_attrdef AS expression
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
          AND expression.oid OPERATOR(pg_catalog.=) depending.objid
    LEFT JOIN pg_catalog.pg_rewrite AS rule
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
          AND rule.oid OPERATOR(pg_catalog.=) depending.objid
    LEFT JOIN pg_catalog.pg_trigger AS trigger
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass
          AND trigger.oid OPERATOR(pg_catalog.=) depending.objid
    LEFT JOIN pg_catalog.pg_policy AS policy
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass
          AND policy.oid OPERATOR(pg_catalog.=) depending.objid
    LEFT JOIN pg_catalog.pg_amop AS operator
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_amop'::pg_catalog.regclass
          AND operator.oid OPERATOR(pg_catalog.=) depending.objid
    LEFT JOIN pg_catalog.pg_amproc AS procedure
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_amproc'::pg_catalog.regclass
          AND procedure.oid OPERATOR(pg_catalog.=) depending.objid
    LEFT JOIN pg_catalog.pg_cast AS conversion
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_cast'::pg_catalog.regclass
          AND conversion.oid OPERATOR(pg_catalog.=) depending.objid
    LEFT JOIN pg_catalog.pg_class AS class
      ON depending.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
          AND class.oid OPERATOR(pg_catalog.=) depending.objid
    -- The triggers of a foreign key are its own, though one of them is at the table that it refers to.
    WHERE trigger.tgisinternal IS NOT TRUE
      AND (class.relkind OPERATOR(pg_catalog.=) 't') IS NOT TRUE
), outside AS (
    SELECT classid, objid, objsubid
    FROM placed
    WHERE NOT ((home_classid, home) OPERATOR(pg_catalog.=) ANY (SELECT classid, objid FROM inside))
      AND NOT (casttarget OPERATOR(pg_catalog.=) ANY (
          SELECT objid
          FROM inside
          WHERE classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
      ))
    UNION
    SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, pg_extension.oid, 0
    FROM pg_catalog.pg_extension JOIN target ON extnamespace OPERATOR(pg_catalog.=) target.oid
    UNION
    SELECT member.refclassid, member.refobjid, 0
    FROM inside
    JOIN pg_catalog.pg_depend AS member ON member.classid OPERATOR(pg_catalog.=) inside.classid
        AND member.objid OPERATOR(pg_catalog.=) inside.objid
    WHERE member.deptype OPERATOR(pg_catalog.=) 'e'
    UNION
    SELECT inside.classid, inheritance.inhparent, 0
    FROM inside
    JOIN pg_catalog.pg_inherits AS inheritance ON inheritance.inhrelid OPERATOR(pg_catalog.=) inside.objid
    JOIN pg_catalog.pg_class AS child ON child.oid OPERATOR(pg_catalog.=) inside.objid AND child.relispartition
    WHERE inside.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      AND NOT EXISTS (
          SELECT FROM inside AS own
          WHERE own.classid OPERATOR(pg_catalog.=) inside.classid
              AND own.objid OPERATOR(pg_catalog.=) inheritance.inhparent
      )
)
SELECT pg_catalog.pg_describe_object(classid, objid, objsubid) AS description,
       pg_catalog.count(*) OVER () OPERATOR(pg_catalog.-) 1 AS others
FROM outside
ORDER BY classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass DESC, classid, objid,
    objsubid
LIMIT 1;
