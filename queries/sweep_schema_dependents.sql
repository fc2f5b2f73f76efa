-- What isn't this schema's own, but would go with it, or would lose a part?
--
-- One row: the first of them, extensions before all, and how many more there are. Everything that depends on
-- anything in the schema counts unless it is in the schema itself (then so does what depends on that, directly): views, foreign keys,
-- defaults, columns of its types, functions, tables that inherit from its own, casts between others' types …;
-- and what can't be dropped for itself: an extension or a member of one, a partition of a table elsewhere.
-- Parameter: schema.
WITH target AS (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s::name
), inside AS MATERIALIZED (
    SELECT 'pg_catalog.pg_class'::regclass::oid AS classid, pg_class.oid AS objid
    FROM pg_catalog.pg_class JOIN target ON relnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, pg_type.oid
    FROM pg_catalog.pg_type JOIN target ON typnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, pg_constraint.oid
    FROM pg_catalog.pg_constraint JOIN target ON connamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, pg_proc.oid
    FROM pg_catalog.pg_proc JOIN target ON pronamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_operator'::regclass, pg_operator.oid
    FROM pg_catalog.pg_operator JOIN target ON oprnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_opclass'::regclass, pg_opclass.oid
    FROM pg_catalog.pg_opclass JOIN target ON opcnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_opfamily'::regclass, pg_opfamily.oid
    FROM pg_catalog.pg_opfamily JOIN target ON opfnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_collation'::regclass, pg_collation.oid
    FROM pg_catalog.pg_collation JOIN target ON collnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_conversion'::regclass, pg_conversion.oid
    FROM pg_catalog.pg_conversion JOIN target ON connamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::regclass, pg_statistic_ext.oid
    FROM pg_catalog.pg_statistic_ext JOIN target ON stxnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_config'::regclass, pg_ts_config.oid
    FROM pg_catalog.pg_ts_config JOIN target ON cfgnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_dict'::regclass, pg_ts_dict.oid
    FROM pg_catalog.pg_ts_dict JOIN target ON dictnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_parser'::regclass, pg_ts_parser.oid
    FROM pg_catalog.pg_ts_parser JOIN target ON prsnamespace = target.oid
    UNION ALL
    SELECT 'pg_catalog.pg_ts_template'::regclass, pg_ts_template.oid
    FROM pg_catalog.pg_ts_template JOIN target ON tmplnamespace = target.oid
), depending AS MATERIALIZED (
    SELECT DISTINCT depend.classid, depend.objid, depend.objsubid
    FROM inside
    JOIN pg_catalog.pg_depend AS depend
      ON depend.refclassid = inside.classid AND depend.refobjid = inside.objid
    WHERE NOT EXISTS (
        SELECT FROM inside AS own WHERE own.classid = depend.classid AND own.objid = depend.objid
    )
      -- That a table is published goes with it, CASCADE or not.
      AND depend.classid <> 'pg_catalog.pg_publication_rel'::regclass
), placed AS (
    -- `home` is the relation, operator family or type that it belongs to, where it is in no schema by itself.
    SELECT depending.*,
           CASE
               WHEN operator.oid IS NOT NULL OR procedure.oid IS NOT NULL THEN 'pg_catalog.pg_opfamily'::regclass
               WHEN conversion.oid IS NOT NULL THEN 'pg_catalog.pg_type'::regclass
               ELSE 'pg_catalog.pg_class'::regclass
           END::oid AS home_classid,
           coalesce(
               expression.adrelid, rule.ev_class, trigger.tgrelid, policy.polrelid,
               operator.amopfamily, procedure.amprocfamily, conversion.castsource
           ) AS home,
           conversion.casttarget
    FROM depending
    LEFT JOIN pg_catalog.pg_attrdef AS expression
      ON depending.classid = 'pg_catalog.pg_attrdef'::regclass AND expression.oid = depending.objid
    LEFT JOIN pg_catalog.pg_rewrite AS rule
      ON depending.classid = 'pg_catalog.pg_rewrite'::regclass AND rule.oid = depending.objid
    LEFT JOIN pg_catalog.pg_trigger AS trigger
      ON depending.classid = 'pg_catalog.pg_trigger'::regclass AND trigger.oid = depending.objid
    LEFT JOIN pg_catalog.pg_policy AS policy
      ON depending.classid = 'pg_catalog.pg_policy'::regclass AND policy.oid = depending.objid
    LEFT JOIN pg_catalog.pg_amop AS operator
      ON depending.classid = 'pg_catalog.pg_amop'::regclass AND operator.oid = depending.objid
    LEFT JOIN pg_catalog.pg_amproc AS procedure
      ON depending.classid = 'pg_catalog.pg_amproc'::regclass AND procedure.oid = depending.objid
    LEFT JOIN pg_catalog.pg_cast AS conversion
      ON depending.classid = 'pg_catalog.pg_cast'::regclass AND conversion.oid = depending.objid
    LEFT JOIN pg_catalog.pg_class AS class
      ON depending.classid = 'pg_catalog.pg_class'::regclass AND class.oid = depending.objid
    -- The triggers of a foreign key are its own, though one of them is at the table that it refers to.
    WHERE trigger.tgisinternal IS NOT TRUE
      AND class.relkind IS DISTINCT FROM 't'
), outside AS (
    SELECT classid, objid, objsubid
    FROM placed
    WHERE NOT EXISTS (
        SELECT FROM inside WHERE inside.classid = placed.home_classid AND inside.objid = placed.home
    )
      AND NOT EXISTS (
        SELECT FROM inside
        WHERE inside.classid = 'pg_catalog.pg_type'::regclass AND inside.objid = placed.casttarget
    )
    UNION
    SELECT 'pg_catalog.pg_extension'::regclass, pg_extension.oid, 0
    FROM pg_catalog.pg_extension JOIN target ON extnamespace = target.oid
    UNION
    SELECT member.refclassid, member.refobjid, 0
    FROM inside
    JOIN pg_catalog.pg_depend AS member ON member.classid = inside.classid AND member.objid = inside.objid
    WHERE member.deptype = 'e'
    UNION
    SELECT inside.classid, inheritance.inhparent, 0
    FROM inside
    JOIN pg_catalog.pg_inherits AS inheritance ON inheritance.inhrelid = inside.objid
    JOIN pg_catalog.pg_class AS child ON child.oid = inside.objid AND child.relispartition
    WHERE inside.classid = 'pg_catalog.pg_class'::regclass
      AND NOT EXISTS (
          SELECT FROM inside AS own
          WHERE own.classid = inside.classid AND own.objid = inheritance.inhparent
      )
)
SELECT pg_catalog.pg_describe_object(classid, objid, objsubid) AS description,
       count(*) OVER () - 1 AS others
FROM outside
ORDER BY classid = 'pg_catalog.pg_extension'::regclass DESC, classid, objid, objsubid
LIMIT 1;
