-- Which columns do these tables have, and which of them are filled by a sequence, a clock or chance?
SELECT CAST(attrelid AS bigint), attname,
       attidentity OPERATOR(pg_catalog.<>) '' OR coalesce(
           pg_catalog.pg_get_expr(adbin, adrelid)
               OPERATOR(pg_catalog.~*) 'nextval|uuid|random|now\(|_timestamp|current_|clock', false
       ) AS is_generated
FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_class AS class ON class.oid OPERATOR(pg_catalog.=) attrelid
LEFT JOIN pg_catalog.pg_attrdef ON adrelid OPERATOR(pg_catalog.=) attrelid AND adnum OPERATOR(pg_catalog.=) attnum
WHERE attrelid OPERATOR(pg_catalog.=) ANY (CAST(%(oids)s AS pg_catalog.oid[]))
    AND relkind OPERATOR(pg_catalog.=) 'r' AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped
ORDER BY attrelid, attnum;
