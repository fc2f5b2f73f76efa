-- Which transactions are visible now, and which ones, subtransactions included, still run?
--
-- The snapshot's own list lacks subtransactions. They are looked for from the newest to the oldest, since
-- one has a higher number than its parent: where the parent still runs when its turn comes, it ran when
-- theirs came. `running` is NULL if the oldest of them is too long ago to look at everything since.
SELECT snapshot::pg_catalog.text AS snapshot,
       CASE WHEN newest OPERATOR(pg_catalog.-) oldest OPERATOR(pg_catalog.<) 2000000 THEN ARRAY(
           SELECT transaction
           FROM pg_catalog.generate_series(newest, oldest, -1) AS transaction
           WHERE pg_catalog.pg_xact_status(transaction::pg_catalog.text::pg_catalog.xid8)
               OPERATOR(pg_catalog.=) 'in progress'
       ) END AS running
FROM (
    SELECT snapshot,
           pg_catalog.pg_snapshot_xmin(snapshot)::pg_catalog.text::bigint AS oldest,
           pg_catalog.pg_snapshot_xmax(snapshot)::pg_catalog.text::bigint OPERATOR(pg_catalog.-) 1 AS newest
    FROM (SELECT pg_catalog.pg_current_snapshot() AS snapshot OFFSET 0) AS taken
) AS bounds;
