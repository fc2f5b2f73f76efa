-- What one of several DELETEs in a statement has returned.
SELECT n, tid, version FROM $gone
