-- What has one of several DELETEs in a statement returned?
SELECT n, tid, version FROM $gone
