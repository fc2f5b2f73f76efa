-- What is this session doing, whose is it, and where does its client sit?
--
-- No row: it has ended. `is_here`: it is in the database that we are connected to. NULL is what our role may
-- not see. Our own ends are those of the session that asks.
-- Parameters: pid, lease_key.
SELECT session.backend_start,
       session.state_change,
       session.usesysid::bigint AS user_oid,
       session.state,
       coalesce(session.application_name, '') AS application_name,
       extract(epoch FROM
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) session.state_change
       )::pg_catalog.float8 AS idle_s,
       session.datid OPERATOR(pg_catalog.=) (
           SELECT own.datid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS own
       ) AS is_here,
       pg_catalog.host(session.client_addr) AS client_address,
       session.client_port,
       EXISTS (
           SELECT FROM pg_catalog.pg_lock_status() AS lock
           WHERE lock.locktype OPERATOR(pg_catalog.=) 'advisory'
             AND lock.granted
             AND lock.pid OPERATOR(pg_catalog.=) session.pid
             AND lock.classid OPERATOR(pg_catalog.=) %(lease_key)s::pg_catalog.oid
             AND lock.objsubid OPERATOR(pg_catalog.=) 2
       ) AS holds_lease,
       pg_catalog.pg_backend_pid() AS own_pid,
       pg_catalog.host(pg_catalog.inet_client_addr()) AS own_address,
       pg_catalog.inet_client_port() AS own_port,
       pg_catalog.inet_server_port() AS server_port
FROM pg_catalog.pg_stat_get_activity(%(pid)s::integer) AS session;
