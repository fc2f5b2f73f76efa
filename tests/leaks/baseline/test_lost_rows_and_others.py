"""Lost rows are told right whatever others do: with settings, names, privileges, locks and meanwhile."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.baseline import content_reader, lost_rows
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import LeftoverKind
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from tests.leaks.baseline.baseline_content import COUNTRIES, alone, compared, kept, lost
from tests.leaks.baseline.baselines import run
from tests.leaks.scanning import settings
from tests.servers.sessions import Connect, Database, MakeRole


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE countries RENAME TO old; CREATE TABLE countries AS TABLE old",
        "ALTER TABLE countries ALTER size TYPE numeric",
    ],
)
def test_a_table_that_is_changed_while_it_is_read(
    database: Database, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    run(database, "UPDATE countries SET name = 'Changed'")
    read = content_reader.columns_of_tables

    def change_then(session: DatabaseSession) -> dict[int, content_reader.Columns]:
        found = read(session)
        alone(database, change)
        monkeypatch.setattr(lost_rows, "columns_of_tables", read)
        monkeypatch.setattr(content_reader, "columns_of_tables", read)
        return found

    monkeypatch.setattr(lost_rows, "columns_of_tables", change_then)
    report = compared(database, baseline)
    assert report.leftovers == ()
    assert [one.reason for one in report.unchecked] == ["public.countries: it was changed while it was read"]
    alone(database, "DROP TABLE IF EXISTS countries, old", *COUNTRIES)
    monkeypatch.setattr(content_reader, "columns_of_tables", change_then)

    contents = {one.table: one.unread for one in kept(database).content or ()}

    assert contents["countries"] == "it was changed while it was read"


def test_names_and_values_that_arent_utf8(server: EmbeddedServer, database: Database) -> None:
    name = f"{database.name}_ascii"
    alone(
        Database("postgres", server.dsn()),
        f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'SQL_ASCII'",
    )
    ascii_ = Database(name, server.dsn(name))
    try:
        with psycopg.connect(ascii_.dsn, autocommit=True) as connection:
            connection.execute(b"SET client_encoding = SQL_ASCII")
            connection.execute(b'CREATE TABLE "t\xe9" ("k\xe9" text PRIMARY KEY, "v""%" text)')
            connection.execute(b"INSERT INTO \"t\xe9\" VALUES ('a\xe9', 'x'), ('b', 'y'), ('c', 'z')")
            connection.execute(b'CREATE SEQUENCE "s\xe9"')
        baseline = kept(ascii_)
        with psycopg.connect(ascii_.dsn, autocommit=True) as connection:
            connection.execute(b"SET client_encoding = SQL_ASCII")
            connection.execute(b'UPDATE "t\xe9" SET "v""%" = \'n\xe9\' WHERE "k\xe9" = \'a\xe9\'')
            connection.execute(b'DELETE FROM "t\xe9" WHERE "k\xe9" = \'b\'')
            connection.execute(b"SELECT nextval('\"s\xe9\"')")
        kinds: tuple[LeftoverKind, ...] = ("lost_rows", "sequence", "object")

        report = scan(settings(ascii_.dsn), kinds=kinds, since=Since(baseline))

        assert report.unchecked == ()
        assert {one.name: one.detail for one in report.leftovers} == {
            "public.s\\xe9": "unused → 1",
            "public.t\\xe9": "1 of 3 rows is gone, 1 changed (such as k\\xe9=a\\xe9)",
        }
    finally:
        alone(Database("postgres", server.dsn()), f"DROP DATABASE {name} WITH (FORCE)")


TYPES = """
CREATE TYPE mood AS ENUM ('fine', 'sad');
CREATE DOMAIN small AS int CHECK (VALUE < 99);
CREATE TYPE pair AS (a int, b timestamptz);
CREATE TABLE many (
    i int PRIMARY KEY, n numeric, f float8, m money, d date, t timestamptz, l timestamp, v interval, b bytea,
    u uuid, e mood, s small, p pair, a timestamptz[], j jsonb, k json, c char(5), r tstzrange, o oid,
    z bit(3), q tsvector
);
INSERT INTO many VALUES (
    1, 'NaN', 0.1::float8 + 0.2, '12.34', 'today', now(), now(), '1 year 2 days 3.5 s', '\\xdeadbeef',
    '12345678-1234-1234-1234-123456789012', 'fine', 5, (1, now()),
    ARRAY[now()], '{"a": 1}', '{ }', 'x',
    tstzrange(now(), NULL), 7, B'101', 'a b'
);
INSERT INTO many VALUES (2)
"""


def test_settings_of_roles_and_databases_change_no_rows(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute(TYPES.encode())
    owner.execute(b"CREATE TABLE unkeyed AS TABLE many")
    baseline = kept(database)
    name = sql.Identifier(database.name)
    for setting, value in {
        "DateStyle": "SQL, DMY",
        "TimeZone": "Asia/Kolkata",
        "IntervalStyle": "iso_8601",
        "bytea_output": "escape",
        "extra_float_digits": "-10",
        "xmlbinary": "hex",
        "search_path": "public",
        "array_nulls": "off",
    }.items():
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
        )
    # Written anew, so that all rows are hashed.
    alone(database, "UPDATE many SET i = i", "UPDATE unkeyed SET i = i")

    assert lost(database, baseline) == {}
    alone(database, "UPDATE many SET t = t + interval '1 microsecond' WHERE i = 1")
    assert lost(database, baseline) == {"public.many": "1 of 2 rows is changed (such as i=1)"}


def test_no_code_of_the_databases_users_runs(database: Database, owner: Connection[TupleRow]) -> None:
    for statement in (
        "CREATE FUNCTION public.boom() RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'boom'; END$$",
        "CREATE TYPE inner_type AS (a int)",
        "CREATE DOMAIN checked AS int",
        "CREATE TABLE t (i checked PRIMARY KEY, one inner_type, s text)",
        "INSERT INTO t SELECT i, ROW(i)::inner_type, 'x' FROM generate_series(1, 9) AS i",
        "CREATE TABLE unkeyed AS TABLE t",
        "CREATE FUNCTION public.evil(t) RETURNS text LANGUAGE sql AS 'SELECT public.boom()'",
        "CREATE FUNCTION public.evil(inner_type) RETURNS text LANGUAGE sql AS 'SELECT public.boom()'",
        "CREATE CAST (t AS text) WITH FUNCTION public.evil(t) AS IMPLICIT",
        "CREATE CAST (inner_type AS text) WITH FUNCTION public.evil(inner_type) AS IMPLICIT",
        "CREATE FUNCTION public.record_out(t) RETURNS text LANGUAGE sql AS 'SELECT public.boom()'",
        "CREATE FUNCTION public.textin(text) RETURNS text LANGUAGE sql AS 'SELECT public.boom()'",
        "CREATE FUNCTION public.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT public.boom()::bigint'",
        "CREATE FUNCTION public.never(bigint, bigint) RETURNS boolean LANGUAGE sql"
        " AS 'SELECT public.boom()::boolean'",
        "CREATE OPERATOR public.= (FUNCTION = public.never, LEFTARG = bigint, RIGHTARG = bigint)",
        "CREATE OPERATOR public.<> (FUNCTION = public.never, LEFTARG = bigint, RIGHTARG = bigint)",
        "CREATE OPERATOR public.- (FUNCTION = public.never, LEFTARG = bigint, RIGHTARG = bigint)",
        "ALTER DOMAIN checked ADD CHECK (public.boom() IS NULL) NOT VALID",
        f'ALTER DATABASE "{database.name}" SET search_path = public, pg_catalog',
    ):
        owner.execute(statement.encode())
    baseline = kept(database)
    alone(database, "DELETE FROM t WHERE s = 'x' AND i::int OPERATOR(pg_catalog.=) 1", "TRUNCATE unkeyed")

    assert lost(database, baseline) == {
        "public.t": "1 of 9 rows is gone",
        "public.unkeyed": "all 9 rows are gone or changed",
    }


def test_what_may_not_be_read_is_told(
    database: Database, owner: Connection[TupleRow], server: EmbeddedServer, make_role: MakeRole
) -> None:
    role = make_role()
    for name in ("open", "half", "closed"):
        owner.execute(f"CREATE TABLE {name} (i, s) AS VALUES (1, 'x')".encode())
    who = sql.Identifier(role)
    owner.execute(sql.SQL("GRANT SELECT ON open TO {}").format(who))
    owner.execute(sql.SQL("GRANT SELECT (i, xmin) ON half TO {}").format(who))
    plain = Database(database.name, server.dsn(database.name, role))

    baseline = kept(plain)

    assert {one.table: one.unread for one in baseline.content or ()} == {
        "open": "",
        "half": "no SELECT privilege on some of its columns",
        "closed": "no SELECT privilege on the table as a whole",
    }
    report = compared(plain, baseline)
    assert report.leftovers == ()
    assert {one.reason for one in report.unchecked} == {
        "public.half: not read when the baseline was taken: no SELECT privilege on some of its columns",
        "public.closed: not read when the baseline was taken: no SELECT privilege on the table as a whole",
    }
    full = kept(database)
    alone(database, "TRUNCATE open, half, closed")
    later = compared(plain, full)
    assert [one.name for one in later.leftovers] == ["public.open"]
    assert {one.reason.split(":")[0] for one in later.unchecked} >= {"public.closed"}


def test_locked_tables(database: Database, connect: Connect) -> None:
    alone(database, *COUNTRIES, "CREATE TABLE free (i int PRIMARY KEY); INSERT INTO free VALUES (1)")
    baseline = kept(database)
    alone(database, "TRUNCATE free, countries")
    locking = connect()
    locking.execute("LOCK TABLE countries")

    without = kept(database)
    report = compared(database, baseline)

    assert {one.table: one.unread for one in without.content or ()} == {"free": "", "countries": "locked"}
    assert [one.name for one in report.leftovers] == ["public.free"]
    assert [one.reason for one in report.unchecked] == ["public.countries: locked"]


def test_transactions_that_ran_meanwhile(database: Database, connect: Connect) -> None:
    run(database, *COUNTRIES)
    writer = connect()
    writer.execute("INSERT INTO countries VALUES ('unseen')")
    deleter = connect()
    deleter.execute("DELETE FROM countries WHERE code = 'c5'")
    baseline = kept(database)
    (content,) = baseline.content or ()
    assert content.rows == 250

    writer.commit()
    alone(database, "DELETE FROM countries WHERE code = 'unseen'")
    assert lost(database, baseline) == {}
    deleter.commit()
    assert lost(database, baseline) == {"public.countries": "1 of 250 rows is gone"}


def test_one_that_commits_between_the_snapshot_and_the_content(
    database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(database, *COUNTRIES)
    writer = connect()
    writer.execute("INSERT INTO countries VALUES ('late')")
    pin = content_reader.pinned

    def commit_then(session: DatabaseSession) -> None:
        writer.commit()
        pin(session)

    monkeypatch.setattr(content_reader, "pinned", commit_then)
    baseline = kept(database)
    monkeypatch.undo()

    assert [one.rows for one in baseline.content or ()] == [250]
    alone(database, "DELETE FROM countries WHERE code = 'late'")
    assert lost(database, baseline) == {}


def test_what_values_are_printed_by_is_the_same_after_giving_way(
    database: Database, server: EmbeddedServer
) -> None:
    copy = f"{database.name}_copy"
    outside = Database("postgres", server.dsn())
    alone(outside, f"ALTER DATABASE {database.name} SET TimeZone = 'Asia/Kolkata'")
    with closing(DatabaseSession(settings(database.dsn))) as session:
        session.open()
        content_reader.pinned(session)

        # Waits until our session has left.
        alone(outside, f"CREATE DATABASE {copy} TEMPLATE {database.name}", f"DROP DATABASE {copy}")
        shown = session.run(lambda connection: connection.execute("SHOW TimeZone").fetchone())

        assert (shown, len(session.away_s)) == (("UTC",), 1)
