-- Which logical replication slots does this database have, and is somebody reading from them?
--
-- `age_s`: for how long nobody has, where the server tells.
WITH before_17 AS (
    -- `inactive_since` came with 17: where the inner query has none, the name finds this one.
    SELECT NULL::pg_catalog.timestamptz AS inactive_since
)
SELECT slot.slot_name AS name,
       pg_catalog.concat_ws(
           ', ',
           CASE WHEN slot.temporary THEN 'temporary' END,
           'plugin ' OPERATOR(pg_catalog.||) slot.plugin,
           CASE
               WHEN slot.active THEN 'in use by pid ' OPERATOR(pg_catalog.||) slot.active_pid
               ELSE 'not in use' END
       ) AS detail,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) slot.inactive_since
       )::pg_catalog.float8 AS age_s
FROM before_17
CROSS JOIN LATERAL (
    SELECT slot_name, temporary, plugin, active, active_pid, slot_type, datoid, inactive_since
    FROM pg_catalog.pg_get_replication_slots()
) AS slot
WHERE slot.slot_type OPERATOR(pg_catalog.=) 'logical'
  AND slot.datoid OPERATOR(pg_catalog.=) (
      SELECT datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
  )
ORDER BY slot.slot_name;
