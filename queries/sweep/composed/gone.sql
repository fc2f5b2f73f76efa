-- Which rows has one of several DELETEs in a statement deleted?
SELECT n, tid, version, began_s FROM $gone
