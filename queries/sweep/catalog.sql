-- How are the tables defined that rows are deleted from, and those that may refer to them?
--
-- Anything else there later is new.
-- One row per table. `whole`: of which triggers (foreign keys have some), rules, partitions, file and row-level
-- security count; `referring`: of which only the last three do.
WITH asked AS (
    SELECT whole.oid::pg_catalog.oid AS oid, true AS is_whole
    FROM pg_catalog.unnest(%(whole)s::pg_catalog.int8[]) AS whole (oid)
    UNION ALL
    SELECT referring.oid::pg_catalog.oid, false
    FROM pg_catalog.unnest(%(referring)s::pg_catalog.int8[]) AS referring (oid)
)
SELECT pg_class.oid::pg_catalog.int8 AS oid,
       is_whole,
       pg_catalog.hashtextextended(
           pg_catalog.concat_ws(
               ' ', nspname, relname, relnamespace, relkind, relnatts, relrowsecurity, relforcerowsecurity,
               -- Beside one tree of partitions, the planner would read all of pg_inherits for each of its leaves.
               CASE WHEN relhassubclass THEN (
                   SELECT pg_catalog.string_agg(
                       pg_catalog.concat_ws(' ', inhrelid, pg_inherits.xmin), ',' ORDER BY inhrelid
                   )
                   FROM pg_catalog.pg_inherits
                   WHERE inhparent OPERATOR(pg_catalog.=) pg_class.oid
               ) END,
               CASE WHEN is_whole THEN pg_catalog.concat_ws(
                   ' ', relfilenode,
                   (
                       SELECT pg_catalog.string_agg(
                           pg_catalog.concat_ws(' ', pg_trigger.oid, pg_trigger.xmin, tgenabled),
                           ',' ORDER BY pg_trigger.oid
                       )
                       FROM pg_catalog.pg_trigger
                       WHERE tgrelid OPERATOR(pg_catalog.=) pg_class.oid
                   ),
                   (
                       SELECT pg_catalog.string_agg(
                           pg_catalog.concat_ws(' ', pg_rewrite.oid, pg_rewrite.xmin, ev_enabled),
                           ',' ORDER BY pg_rewrite.oid
                       )
                       FROM pg_catalog.pg_rewrite
                       WHERE ev_class OPERATOR(pg_catalog.=) pg_class.oid
                   )
               ) END
           ) COLLATE pg_catalog."C",
           0
       ) AS mark
FROM asked
JOIN pg_catalog.pg_class ON pg_class.oid OPERATOR(pg_catalog.=) asked.oid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid OPERATOR(pg_catalog.=) relnamespace;
