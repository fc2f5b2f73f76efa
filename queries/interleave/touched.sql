-- Which locks does this session hold or wait for?
SELECT locktype, relation, mode, transactionid, database, classid, objid, objsubid
FROM pg_catalog.pg_lock_status()
WHERE pid OPERATOR(pg_catalog.=) %(pid)s AND locktype OPERATOR(pg_catalog.<>) 'virtualxid';
