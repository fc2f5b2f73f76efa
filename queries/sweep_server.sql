-- Does the server keep commit timestamps, and who are we?
SELECT pg_catalog.current_setting('track_commit_timestamp')
       OPERATOR(pg_catalog.=) 'on' AS has_commit_timestamps;
