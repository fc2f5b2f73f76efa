"""What a database's search_path names isn't used: an operator of an owner's own picks no other row."""

from __future__ import annotations

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.servers.sessions import Connect, Database, MakeRole
from tests.sweep.rows.row_sweeps import deleted, ids, make, swept_thoroughly

_SHADOWS: dict[str, str] = {
    # Whatever is asked for, it is the first row.
    "an operator of tid": "CREATE FUNCTION evil.eq(tid, tid) RETURNS bool LANGUAGE sql AS"
    " $$ SELECT $1 OPERATOR(pg_catalog.=) '(0,1)'::pg_catalog.tid $$;"
    "CREATE OPERATOR evil.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = evil.eq)",
    "an operator of what the key compares": "CREATE FUNCTION evil.eq(int, int) RETURNS bool LANGUAGE sql AS"
    " $$ SELECT true $$; CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.eq)",
    "an operator of text": "CREATE FUNCTION evil.matches(text, text) RETURNS bool LANGUAGE sql AS"
    " $$ SELECT true $$; CREATE OPERATOR evil.~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.matches);"
    "CREATE OPERATOR evil.~~* (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.matches);"
    "CREATE OPERATOR evil.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.matches)",
    "a function": "CREATE FUNCTION evil.unnest(tid[]) RETURNS SETOF tid LANGUAGE sql AS"
    " $$ SELECT '(0,1)'::pg_catalog.tid $$;"
    "CREATE FUNCTION evil.count() RETURNS int8 LANGUAGE sql AS $$ SELECT 0::pg_catalog.int8 $$;"
    "CREATE FUNCTION evil.set_config(text, text, bool) RETURNS text LANGUAGE sql AS $$ SELECT $2 $$",
    "a type": "CREATE DOMAIN evil.tid AS pg_catalog.tid CHECK (false);"
    "CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (false);"
    "CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false)",
    "a table": "CREATE TABLE evil.pg_class (oid oid); CREATE TABLE evil.pg_constraint (oid oid);"
    "CREATE TABLE evil.customer (id int, email text)",
}


@pytest.mark.parametrize("shadow", _SHADOWS)
def test_only_the_marked_row_goes(
    owner: Connection[TupleRow], database: Database, connect: Connect, make_role: MakeRole, shadow: str
) -> None:
    role = make_role()
    owner.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
            sql.Identifier(database.name), sql.Identifier(role)
        )
    )
    plain = connect(user=role, autocommit=True)
    make(
        plain,
        "CREATE SCHEMA evil; CREATE SCHEMA shop;"
        "CREATE TABLE shop.customer (id int PRIMARY KEY, email text);"
        "INSERT INTO shop.customer VALUES (1, 'real@company.example'), (2, MARKED)",
    )
    make(plain, _SHADOWS[shadow])
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET search_path = evil, shop, pg_catalog").format(
            sql.Identifier(database.name)
        )
    )

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "shop.customer") == [1]
    assert deleted(report) == {"customer": (1, 0)}
