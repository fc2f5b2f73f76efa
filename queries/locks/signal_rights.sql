-- Whose is this session, is that role a superuser, and as whom do we ask?
--
-- For saying why we may not signal.
-- Parameter: user_oid, the session's role.
SELECT pg_catalog.quote_ident(current_user) AS asking,
       pg_catalog.quote_ident(owner.rolname) AS owner,
       coalesce(owner.rolsuper, false) AS owner_is_superuser
FROM (SELECT %(user_oid)s::pg_catalog.oid AS oid) AS wanted
LEFT JOIN pg_catalog.pg_roles AS owner ON owner.oid OPERATOR(pg_catalog.=) wanted.oid;
