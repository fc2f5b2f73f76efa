"""Triggers find what they mean, though a sweep's own statements look nowhere but in pg_catalog."""

from __future__ import annotations

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, make, swept_thoroughly


def test_triggers_that_say_no_schema(database: Database, owner: Connection[TupleRow]) -> None:
    make(
        owner,
        "CREATE SCHEMA app; CREATE TABLE app.audit (user_id int);"
        "CREATE TABLE app.users (id int, email text);"
        "CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO audit VALUES (OLD.id); RETURN NULL; END $$;"
        "CREATE TRIGGER at_once AFTER DELETE ON app.users FOR EACH ROW EXECUTE FUNCTION app.note();"
        "CREATE CONSTRAINT TRIGGER at_the_end AFTER DELETE ON app.users INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION app.note();"
        "INSERT INTO app.users VALUES (1, MARKED), (2, 'real')",
    )
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET search_path = app, public").format(sql.Identifier(database.name))
    )

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (1, 0)}
    assert ids(owner, "app.users") == [2]
    assert ids(owner, "app.audit") == [1, 1]


def test_triggers_that_write_and_read_dates(database: Database, owner: Connection[TupleRow]) -> None:
    make(
        owner,
        "CREATE TABLE audit (at text, zone text); CREATE TABLE users (id int, email text, born date);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.audit VALUES (OLD.born::text, current_setting('TimeZone')); RETURN NULL; END $$;"
        "CREATE TRIGGER at_once AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION note();"
        "INSERT INTO users VALUES (1, MARKED, '2001-02-03')",
    )
    for name, value in (("DateStyle", "German"), ("TimeZone", "Europe/Berlin")):
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(database.name), sql.Identifier(name), sql.Literal(value)
            )
        )

    assert deleted(swept_thoroughly(database.dsn)) == {"users": (1, 0)}
    assert owner.execute("SELECT * FROM audit").fetchall() == [("03.02.2001", "Europe/Berlin")]
