-- Which rows has one of several DELETEs in a statement deleted?
SELECT n, tid, version FROM $gone
