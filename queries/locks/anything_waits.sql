-- Does anybody wait for a lock?
--
-- Cheaper than `locks.sql`, for a look several times a second.
SELECT EXISTS (SELECT FROM pg_catalog.pg_lock_status() AS lock WHERE NOT lock.granted) AS anything;
