-- What is in this schema, as DROP names it?
--
-- One row a kind, in the order in which they can be dropped: views before tables, tables before functions and types.
-- What goes with another thing (indexes, sequences of columns, types of rows and arrays) isn't listed. `kind` is empty
-- for rarer things, such as operators.
-- Parameter: schema.
WITH thing AS (
    SELECT CASE
               WHEN object.type OPERATOR(pg_catalog.=)
                   ANY ('{view,materialized view,table,foreign table,sequence,type}'::pg_catalog.text[])
                   THEN pg_catalog.upper(object.type)
               WHEN object.type OPERATOR(pg_catalog.=) 'composite type' THEN 'TYPE'
               WHEN object.type OPERATOR(pg_catalog.=)
                   ANY ('{function,procedure,aggregate}'::pg_catalog.text[]) THEN 'ROUTINE'
               ELSE '' END AS kind,
           object.identity AS name
    FROM pg_catalog.pg_depend AS inside
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(inside.classid, inside.objid, 0) AS object
    WHERE inside.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
      AND inside.refobjid OPERATOR(pg_catalog.=) %(schema)s::pg_catalog.text::pg_catalog.regnamespace
      AND (object.type OPERATOR(pg_catalog.<>) 'sequence' OR NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS owner
          WHERE owner.classid OPERATOR(pg_catalog.=) inside.classid
            AND owner.objid OPERATOR(pg_catalog.=) inside.objid
            AND owner.deptype::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{a,i}'::pg_catalog.text[])
      ))
)
SELECT kind, pg_catalog.array_agg(name ORDER BY name) AS names
FROM thing
GROUP BY kind
ORDER BY pg_catalog.array_position(
    '{VIEW,MATERIALIZED VIEW,TABLE,FOREIGN TABLE,SEQUENCE,ROUTINE,TYPE}'::pg_catalog.text[], kind
);
