"""Rows of the baseline that are gone or changed are told, and none that is there as it was."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.config import IgnoreSetting
from pgwatch_tests.demo.embedded import EmbeddedServer
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks import baseline_file, content_statements, lost_rows, read_content
from pgwatch_tests.leaks.baseline import Baseline
from pgwatch_tests.leaks.comparison import Since
from pgwatch_tests.leaks.count import scan
from pgwatch_tests.leaks.model import LeakReport, LeftoverKind
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.leaks.take_baseline import take
from tests.leaks.baselines import run, use
from tests.leaks.scanning import settings
from tests.sessions import Connect, Database, MakeRole

COUNTRIES = (
    "CREATE TABLE countries (code text PRIMARY KEY, name text, size float8)",
    "INSERT INTO countries SELECT 'c' || i, 'Country ' || i, i / 7.0 FROM generate_series(1, 250) AS i",
)


def kept(database: Database, *ignore: str) -> Baseline:
    """The state of a database now, with its tables' content."""
    ignored = tuple(IgnoreSetting(what) for what in ignore)
    return take(settings(database.dsn, ignore=ignored), content=True)


def compared(database: Database, baseline: Baseline, *ignore: str) -> LeakReport:
    """The report of a scan for lost rows."""
    ignored = tuple(IgnoreSetting(what) for what in ignore)
    kinds: tuple[LeftoverKind, ...] = ("lost_rows",)
    return scan(settings(database.dsn, ignore=ignored), kinds=kinds, since=Since(baseline))


def lost(database: Database, baseline: Baseline, *ignore: str) -> dict[str, str]:
    """What each table lost; everything could be compared."""
    report = compared(database, baseline, *ignore)
    assert report.unchecked == ()
    assert report.kinds_checked == ("lost_rows",)
    return {one.name: one.detail for one in report.leftovers}


def alone(database: Database, *statements: str) -> None:
    """Runs each statement in a transaction of its own, whoever else is connected."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of more than five rows are large."""
    for module in (content_statements, read_content):
        monkeypatch.setattr(module, "MOST_ROWS", 5)


def test_rows_that_are_gone_and_one_that_changed(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    assert lost(database, baseline) == {}

    run(
        database,
        "DELETE FROM countries WHERE code IN ('c1', 'c2', 'c3')",
        "UPDATE countries SET name = 'Changed' WHERE code = 'c42'",
        "INSERT INTO countries VALUES ('new')",
    )

    assert lost(database, baseline) == {
        "public.countries": "3 of 250 rows are gone, 1 changed (such as code=c42)"
    }


def test_one_truncate(database: Database) -> None:
    run(database, *COUNTRIES, "CREATE TABLE one (i int PRIMARY KEY)", "INSERT INTO one VALUES (1)")
    baseline = kept(database)
    run(database, "TRUNCATE countries, one")

    assert lost(database, baseline) == {
        "public.countries": "all 250 rows are gone",
        "public.one": "its only row is gone",
    }
    run(database, COUNTRIES[1], "INSERT INTO one VALUES (2)")
    assert lost(database, baseline) == {"public.one": "its only row is gone"}


def test_what_was_written_as_it_was_is_no_change(database: Database) -> None:
    run(database, *COUNTRIES, "CREATE TABLE bare AS SELECT i FROM generate_series(1, 20) AS i")
    baseline = kept(database)
    run(
        database,
        "UPDATE countries SET name = name",
        "DELETE FROM bare WHERE i = 7",
        "INSERT INTO bare VALUES (7), (8), (7)",
        "VACUUM FULL countries",
    )

    assert lost(database, baseline) == {}


def test_a_table_without_a_key(database: Database) -> None:
    run(
        database,
        "CREATE TABLE bare (i int, s text)",
        "INSERT INTO bare SELECT i % 4, 'x' FROM generate_series(1, 20) AS i",
    )
    baseline = kept(database)

    run(
        database,
        "DELETE FROM bare WHERE ctid IN (SELECT ctid FROM bare WHERE i = 1 LIMIT 2)",
        "UPDATE bare SET s = 'y' WHERE ctid = (SELECT ctid FROM bare WHERE i = 2 LIMIT 1)",
        "INSERT INTO bare VALUES (9, 'new')",
    )

    assert lost(database, baseline) == {"public.bare": "3 of 20 rows are gone or changed"}


@pytest.mark.usefixtures("few")
def test_a_table_too_large_to_know_its_rows(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    (content,) = baseline.content or ()
    assert (content.rows, content.hashes) == (250, None)
    assert lost(database, baseline) == {}

    run(database, "INSERT INTO countries VALUES ('new')", "UPDATE countries SET name = 'Y' WHERE code = 'c7'")
    assert lost(database, baseline) == {"public.countries": "1 of 250 rows is gone or changed"}
    run(
        database,
        "UPDATE countries SET name = 'Country 7' WHERE code = 'c7'",
        "DELETE FROM countries WHERE code = 'new'",
    )
    assert lost(database, baseline) == {}
    run(database, "TRUNCATE countries", "INSERT INTO countries VALUES ('new')")
    assert lost(database, baseline) == {"public.countries": "at least 249 of 250 rows are gone"}
    run(database, COUNTRIES[1])
    (unchecked,) = compared(database, baseline).unchecked
    assert unchecked.reason == "public.countries: written anew since, and its rows can't be told apart"
    run(database, "DELETE FROM countries WHERE code = 'new'")
    assert lost(database, baseline) == {}


def test_columns_that_came_went_or_changed(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)

    run(
        database,
        "ALTER TABLE countries ADD COLUMN first int DEFAULT 1",
        "ALTER TABLE countries ADD COLUMN clock timestamptz DEFAULT clock_timestamp()",
        "UPDATE countries SET name = 'Changed' WHERE code = 'c42'",
    )
    assert lost(database, baseline) == {"public.countries": "1 of 250 rows is changed (such as code=c42)"}
    run(database, "ALTER TABLE countries ALTER size TYPE numeric", "DELETE FROM countries WHERE code = 'c9'")
    report = compared(database, baseline)

    assert [one.detail for one in report.leftovers] == ["1 of 250 rows is gone"]
    (unchecked,) = report.unchecked
    assert unchecked.reason == "public.countries: its columns changed, so only rows that are gone can be told"


def test_tables_that_are_gone_renamed_or_made_anew(database: Database) -> None:
    run(database, "CREATE TABLE nine AS SELECT i, 'x'::text AS s FROM generate_series(1, 9) AS i")
    for name in ("dropped", "renamed", "anew", "partly"):
        run(
            database,
            f"CREATE TABLE {name} AS TABLE nine",
            f"ALTER TABLE {name} ADD PRIMARY KEY (i)",
        )
    run(database, "CREATE TABLE empty (i int)")
    baseline = kept(database)
    for name in ("anew", "partly"):
        run(database, f"DROP TABLE {name}; CREATE TABLE {name} (i int PRIMARY KEY, s text)")
    run(
        database,
        "DROP TABLE dropped; DROP TABLE empty",
        "ALTER TABLE renamed RENAME TO other",
        "DELETE FROM other WHERE i = 1",
        "INSERT INTO anew SELECT i, 'x' FROM generate_series(0, 20) AS i",
        "INSERT INTO partly SELECT i, 'x' FROM generate_series(4, 20) AS i",
    )

    assert lost(database, baseline) == {
        "public.dropped": "all 9 rows are gone: the table was dropped",
        "public.partly": "3 of 9 rows are gone",
        "public.renamed": "1 of 9 rows is gone",
    }


def test_a_key_that_is_none_any_more(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    run(
        database,
        "ALTER TABLE countries DROP CONSTRAINT countries_pkey",
        "INSERT INTO countries TABLE countries",
        "INSERT INTO countries SELECT 'c1', 'Other' FROM generate_series(1, 9)",
        "UPDATE countries SET name = 'Changed' WHERE code = 'c2'",
    )

    # One of those with the key is as it was.
    assert lost(database, baseline) == {"public.countries": "1 of 250 rows is changed (such as code=c2)"}


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
    read = read_content.columns_of_tables

    def change_then(session: ScanSession) -> dict[int, read_content.Columns]:
        found = read(session)
        alone(database, change)
        monkeypatch.setattr(lost_rows, "columns_of_tables", read)
        monkeypatch.setattr(read_content, "columns_of_tables", read)
        return found

    monkeypatch.setattr(lost_rows, "columns_of_tables", change_then)
    report = compared(database, baseline)
    assert report.leftovers == ()
    assert [one.reason for one in report.unchecked] == ["public.countries: it was changed while it was read"]
    alone(database, "DROP TABLE IF EXISTS countries, old", *COUNTRIES)
    monkeypatch.setattr(read_content, "columns_of_tables", change_then)

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


def test_partitions_are_read_through_their_root(database: Database) -> None:
    run(
        database,
        "CREATE TABLE root (i int PRIMARY KEY, s text) PARTITION BY RANGE (i)",
        "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (5)",
        "CREATE TABLE high PARTITION OF root FOR VALUES FROM (5) TO (10)",
        "INSERT INTO root SELECT i, 'x' FROM generate_series(0, 9) AS i",
        "CREATE TABLE base (i int PRIMARY KEY)",
        "CREATE TABLE heir () INHERITS (base)",
        "INSERT INTO base VALUES (1); INSERT INTO heir VALUES (2)",
    )
    baseline = kept(database)
    run(
        database,
        "ALTER TABLE root DETACH PARTITION high",
        "UPDATE root SET s = 'y' WHERE i = 3",
        "DELETE FROM heir",
    )

    assert lost(database, baseline) == {
        "public.root": "5 of 10 rows are gone, 1 changed (such as i=3)",
        "public.heir": "its only row is gone or changed",
    }


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
        "public.half: the baseline has no content of: no SELECT privilege on some of its columns",
        "public.closed: the baseline has no content of: no SELECT privilege on the table as a whole",
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


def test_what_is_ignored(database: Database) -> None:
    run(
        database,
        *COUNTRIES,
        "CREATE SCHEMA audit CREATE TABLE log (i int)",
        "INSERT INTO audit.log VALUES (1)",
    )
    everything, without = kept(database), kept(database, "audit", "public.countries.name")
    assert [one.table for one in without.content or ()] == ["countries"]
    run(database, "UPDATE countries SET name = 'Changed'", "TRUNCATE audit.log")

    assert lost(database, without) == {}
    assert lost(database, everything, "audit", "public.countries") == {}
    assert set(lost(database, everything)) == {"public.countries", "audit.log"}


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
    pin = read_content.pinned

    def commit_then(session: ScanSession) -> None:
        writer.commit()
        pin(session)

    monkeypatch.setattr(read_content, "pinned", commit_then)
    baseline = kept(database)
    monkeypatch.undo()

    assert [one.rows for one in baseline.content or ()] == [250]
    alone(database, "DELETE FROM countries WHERE code = 'late'")
    assert lost(database, baseline) == {}


def test_schemas_of_tests_are_their_own(database: Database) -> None:
    run(
        database,
        "CREATE SCHEMA test_living CREATE TABLE t (i serial PRIMARY KEY) CREATE VIEW v AS SELECT 1 AS i",
        "INSERT INTO test_living.t VALUES (1)",
    )
    baseline = kept(database)
    assert baseline.content == ()
    kinds: tuple[LeftoverKind, ...] = ("object", "sequence", "lost_rows")
    for statement in ("SELECT nextval('test_living.t_i_seq')", "DROP SCHEMA test_living CASCADE"):
        run(database, statement)

        report = scan(settings(database.dsn), kinds=kinds, since=Since(baseline))

        assert (report.leftovers, report.unchecked, use(report).gone) == ((), (), ())


def test_through_a_file_and_not_once_it_is_damaged(database: Database, tmp_path: Path) -> None:
    run(database, *COUNTRIES, "CREATE TABLE bare AS SELECT 1 AS i")
    baseline = kept(database)
    path = tmp_path / "baseline.json"
    baseline_file.save(baseline, path)

    loaded = baseline_file.load(path)

    assert loaded == baseline
    run(database, "DELETE FROM countries WHERE code = 'c1'", "TRUNCATE bare")
    assert lost(database, loaded) == {
        "public.countries": "1 of 250 rows is gone",
        "public.bare": "its only row is gone or changed",
    }
    contents = [replace(one, rows=one.rows + 1) for one in baseline.content or ()]
    baseline_file.save(replace(baseline, content=tuple(contents)), path)
    with pytest.raises(ConfigurationError, match="isn't a baseline"):
        baseline_file.load(path)


def test_a_baseline_without_content_says_so(database: Database) -> None:
    baseline = take(settings(database.dsn))

    (unchecked,) = compared(database, baseline).unchecked

    assert (unchecked.reason, unchecked.hint) == (
        "the baseline has no content of tables",
        "`pgwatch-tests baseline --content` keeps it",
    )


@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
def test_random_changes_are_counted_as_they_were(database: Database, key: str) -> None:
    chance = random.Random(f"lost rows {key}")
    rows = {number: chance.choice("abc") for number in range(60)}
    run(database, f"CREATE TABLE t (i int {key}, s text)")
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", list(rows.items()))
        baseline = kept(database)
        now = dict(rows)
        for _ in range(5):
            for number in chance.sample(range(80), 6):
                connection.execute("DELETE FROM t WHERE i = %s", [number])
                now.pop(number, None)
                if chance.random() < 0.6:
                    now[number] = chance.choice("abc")
                    connection.execute("INSERT INTO t VALUES (%s, %s)", [number, now[number]])
            gone = len(rows.keys() - now.keys())
            changed = sum(now[number] != value for number, value in rows.items() if number in now)

            found = lost(database, baseline).get("public.t", "")

            if key:
                assert found.startswith(
                    f"{gone} of 60 rows {'is' if gone == 1 else 'are'} gone, {changed} changed"
                )
            else:
                assert found == f"{gone + changed} of 60 rows are gone or changed"


def test_the_report_names_what_was_dropped_besides(database: Database) -> None:
    run(database, *COUNTRIES)
    baseline = kept(database)
    run(database, "DROP TABLE countries")

    assert use(compared(database, baseline)).dropped == ("public.countries",)
