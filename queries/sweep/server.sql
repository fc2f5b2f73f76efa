-- Does the server keep commit timestamps, and which is the oldest transaction that hasn't ended yet?
--
-- `oldest`: its 32-bit id, as rows carry it. `counts_rows`: whether rows that this session writes are counted.
SELECT pg_catalog.current_setting('track_commit_timestamp')
       OPERATOR(pg_catalog.=) 'on' AS has_commit_timestamps,
       pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on' AS counts_rows,
       pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8
           OPERATOR(pg_catalog.&) 4294967295::pg_catalog.int8 AS oldest;
