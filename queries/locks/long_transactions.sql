-- Which of these sessions are in a transaction that began before the deadlock that ended another's?
--
-- Asked right after a deadlock: the transactions of its other sides go on. The victim's was aborted when its state
-- changed; where that transaction is over, the others are older than deadlock_timeout at least, since it has waited
-- for that long behind them. Parameters: pids, victim (a pid).
SELECT activity.pid, activity.application_name, activity.backend_type, activity.state, activity.query
FROM pg_catalog.unnest(%(pids)s::pg_catalog.int4[]) AS wanted (pid)
CROSS JOIN LATERAL pg_catalog.pg_stat_get_activity(wanted.pid) AS activity
WHERE activity.xact_start OPERATOR(pg_catalog.<=) coalesce(
          (SELECT ended.state_change
           FROM pg_catalog.pg_stat_get_activity(%(victim)s) AS ended
           WHERE ended.state OPERATOR(pg_catalog.=) 'idle in transaction (aborted)'),
          pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
          pg_catalog.current_setting('deadlock_timeout')::pg_catalog.interval);
