-- Which transaction is this, by the 32 bits that rows have?
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8
    OPERATOR(pg_catalog.&) 4294967295::pg_catalog.int8 AS id;
