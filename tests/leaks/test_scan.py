"""Which rows count, on a real server, against known truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.load import DEFAULT_MARKERS, MarkerSetting
from tests.leaks.scanning import insert, make_string_type, rows, scanned
from tests.servers.sessions import Database


@pytest.mark.parametrize("type_", ["text", "varchar", "varchar(60)", "char(60)", "name"])
def test_string_types(database: Database, owner: Connection[TupleRow], type_: str) -> None:
    owner.execute(f"CREATE TABLE t (c {type_})".encode())
    owner.execute(
        "INSERT INTO t VALUES ('a@test.example.com'), ('A@Test.EXAMPLE.com'), ('a@example.com'), (NULL)"
    )

    assert rows(scanned(database.dsn)) == {"public.t": 2}


def test_domains_over_domains(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE DOMAIN address AS varchar(60) CHECK (value <> '')")
    owner.execute("CREATE DOMAIN work_address AS address NOT NULL")
    owner.execute("CREATE DOMAIN padded AS char(60)")
    owner.execute("CREATE TABLE t (a work_address, b address, c padded)")
    owner.execute(
        "INSERT INTO t VALUES ('a@TEST.example.com', NULL, NULL), ('x', NULL, 'a@test.example.com')"
    )

    report = scanned(database.dsn)

    assert rows(report) == {"public.t": 2}
    assert report.tables[0].columns == ("a", "c")


@pytest.mark.contrib
def test_citext_where_the_server_has_it(database: Database, owner: Connection[TupleRow]) -> None:
    try:
        owner.execute("CREATE EXTENSION citext")
    except errors.FeatureNotSupported:
        # What makes citext work, any server shows: a string type of one's own, which isn't text.
        owner.execute('CREATE DOMAIN citext AS text COLLATE "C"')
    owner.execute("CREATE DOMAIN address AS citext")
    owner.execute("CREATE TABLE t (a citext, b address)")
    owner.execute(
        "INSERT INTO t VALUES ('a@TEST.example.com', NULL), ('x', 'a@Test.example.com'), ('x', 'x')"
    )

    report = scanned(database.dsn)

    assert rows(report) == {"public.t": 2}
    assert report.tables[0].columns == ("a", "b")


def test_a_type_of_ones_own_that_is_a_string(database: Database, owner: Connection[TupleRow]) -> None:
    make_string_type(owner, "BEGIN RETURN textin(public.label_out(value)); END")
    owner.execute("CREATE TABLE t (c label)")
    insert(owner, "t", "a@test.example.com", "x")

    assert rows(scanned(database.dsn)) == {"public.t": 1}


def test_what_is_no_string_column(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TYPE kind AS ENUM ('a@test.example.com')")
    owner.execute('CREATE DOMAIN narrow AS "char"')
    owner.execute('CREATE TABLE t (k kind, c "char", n narrow, i int, dropped text)')
    owner.execute("INSERT INTO t VALUES ('a@test.example.com', 'a', 'a', 1, 'a@test.example.com')")
    owner.execute("ALTER TABLE t DROP COLUMN dropped")
    owner.execute("CREATE VIEW v AS SELECT 'a@test.example.com'::text AS c")

    report = scanned(database.dsn)

    assert (report.tables_checked, report.tables, report.skipped) == (0, (), ())


def test_near_misses(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text)")
    insert(
        owner,
        "t",
        "x@test.example.com.evil.org",
        "x@test.example.comm",
        "xtest.example.com",
        "x@testXexample.com",
        "x@test.example.com ",
        "userX1717171717171Xabc",
        "user_171717171717_abc",
        "user_17171717171711_abc",
        "user_2717171717171_abc",
        "user_1717171717171",
        "user_1717171717171_",
        "_1717171717171_abc",
        "1user_1717171717171_abc",
        "see user_1717171717171_abc",
        "",
    )

    report = scanned(database.dsn)

    assert (report.tables_checked, report.total, report.complete) == (1, 0, True)


def test_the_forms_of_test_ids(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text)")
    insert(owner, "t", "user_1717171717171_abc", "Booking-Item_x_1717171717171_a1-b2_c3", "a_1717171717171_0")

    assert rows(scanned(database.dsn)) == {"public.t": 3}


def test_a_row_counts_once_and_all_its_columns_are_named(
    database: Database, owner: Connection[TupleRow]
) -> None:
    owner.execute("CREATE TABLE t (a text, b varchar, c char(50), d text)")
    owner.execute(
        "INSERT INTO t VALUES ('a@test.example.com', 'user_1717171717171_abc', 'b@test.example.com', 'x')"
    )
    owner.execute("INSERT INTO t VALUES (NULL, NULL, NULL, NULL), ('x', 'y', 'z', NULL)")

    report = scanned(database.dsn)

    assert rows(report) == {"public.t": 1}
    assert report.tables[0].columns == ("a", "b", "c")


def test_partitions_count_once_through_their_root(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE p (id int, region int, email text) PARTITION BY RANGE (id)")
    owner.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY LIST (region)")
    owner.execute("CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1)")
    owner.execute("CREATE TABLE p12 PARTITION OF p1 FOR VALUES IN (2)")
    owner.execute("CREATE TABLE p2 PARTITION OF p DEFAULT")
    owner.execute(
        "INSERT INTO p VALUES (1, 1, 'a@test.example.com'), (2, 2, 'b@test.example.com'),"
        " (99, 0, 'c@test.example.com'), (100, 0, 'x')"
    )

    report = scanned(database.dsn)

    assert rows(report) == {"public.p": 3}
    assert report.tables[0].kind == "partitioned table"
    assert report.tables_checked == 1


def test_tables_that_inherit_count_their_own_rows(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE parent (email text)")
    owner.execute("CREATE TABLE child (note text) INHERITS (parent)")
    owner.execute("INSERT INTO parent VALUES ('a@test.example.com')")
    owner.execute("INSERT INTO child VALUES ('b@test.example.com', 'x'), ('x', 'c@test.example.com')")

    assert rows(scanned(database.dsn)) == {"public.parent": 1, "public.child": 2}


def test_materialized_views(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (email text)")
    owner.execute("INSERT INTO t VALUES ('a@test.example.com')")
    owner.execute("CREATE MATERIALIZED VIEW filled AS SELECT * FROM t")
    owner.execute("CREATE MATERIALIZED VIEW never_filled AS SELECT * FROM t WITH NO DATA")

    report = scanned(database.dsn)

    assert rows(report) == {"public.t": 1, "public.filled": 1}
    assert {leak.table: leak.kind for leak in report.tables} == {"t": "table", "filled": "materialized view"}
    # What was never filled holds no row: nothing is left unchecked.
    assert report.complete


def test_generated_columns(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute(
        "CREATE TABLE stored (a text, g text GENERATED ALWAYS AS (a || '@test.example.com') STORED)"
    )
    owner.execute("INSERT INTO stored VALUES ('a'), ('b')")
    expected = {"public.stored": 2}
    if owner.info.server_version >= 180000:
        owner.execute(
            "CREATE TABLE virtual (a text, g text GENERATED ALWAYS AS (a || '@test.example.com') VIRTUAL)"
        )
        owner.execute("INSERT INTO virtual VALUES ('a')")
        expected["public.virtual"] = 1

    assert rows(scanned(database.dsn)) == expected


def test_all_schemas_but_the_servers_own(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE SCHEMA test_1717171717171_42_ab")
    owner.execute("CREATE TABLE test_1717171717171_42_ab.t AS SELECT 'a@test.example.com' AS c")
    owner.execute("CREATE TEMPORARY TABLE temporary AS SELECT 'a@test.example.com' AS c")
    owner.execute("CREATE UNLOGGED TABLE unlogged AS SELECT 'a@test.example.com' AS c")

    assert rows(scanned(database.dsn)) == {"public.unlogged": 1, "test_1717171717171_42_ab.t": 1}


HOSTILE_NAMES = [
    'a"b%s',
    "new\nline",
    "50%",
    "[red]x[/]",
    "日本語",
    "naïve",
    "select",
    "1e5",
    " ",
    "x'); DROP TABLE t; --",
]


def test_hostile_names(database: Database, owner: Connection[TupleRow]) -> None:
    for name in HOSTILE_NAMES:
        quoted = '"' + name.replace('"', '""') + '"'
        owner.execute(f"CREATE TABLE {quoted} ({quoted} text, created_at timestamptz)".encode())
        insert(owner, name, ("a@test.example.com", None))

    report = scanned(database.dsn)

    assert {leak.table: leak.columns for leak in report.tables} == {name: (name,) for name in HOSTILE_NAMES}
    assert report.total == len(HOSTILE_NAMES)
    assert report.complete


def test_names_that_stand_for_something_else_on_the_search_path(
    database: Database, owner: Connection[TupleRow]
) -> None:
    # A count must not run an operator or a function that somebody left there.
    owner.execute("CREATE FUNCTION wrong(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'")
    owner.execute("CREATE OPERATOR ~~ (FUNCTION = wrong, LEFTARG = text, RIGHTARG = text)")
    owner.execute("CREATE TYPE text AS (x int)")
    owner.execute("CREATE TABLE t AS SELECT 'x'::pg_catalog.text AS c")
    owner.execute(f'ALTER DATABASE "{database.name}" SET search_path = public, pg_catalog'.encode())

    assert scanned(database.dsn).total == 0


def test_columns_whose_collation_knows_no_patterns(database: Database, owner: Connection[TupleRow]) -> None:
    try:
        owner.execute("CREATE COLLATION sloppy (provider = icu, locale = 'und', deterministic = false)")
    except errors.FeatureNotSupported:
        # A server without ICU has no such collations, but some others.
        owner.execute('CREATE COLLATION sloppy FROM "C"')
    owner.execute("CREATE TABLE t (c text COLLATE sloppy)")
    owner.execute("INSERT INTO t VALUES ('A@test.example.com'), ('user_1717171717171_abc'), ('x')")

    assert rows(scanned(database.dsn)) == {"public.t": 2}


def test_oldest_and_newest_by_the_stamp_in_the_id(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text, created_at timestamptz)")
    insert(
        owner,
        "t",
        ("user_1717171717171_abc", "2001-01-01"),
        ("a_1700000000000_x@test.example.com", "2001-01-01"),
        ("x_1600000000000_", "2001-01-01"),
    )

    (leak,) = scanned(database.dsn).tables

    assert leak.oldest == datetime.fromtimestamp(1700000000, UTC)
    assert leak.newest == datetime.fromtimestamp(1717171717, UTC) + timedelta(milliseconds=171)


def test_when_the_rows_were_committed_last(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (email text, created_at timestamptz DEFAULT '2020-01-01')")
    owner.execute("CREATE TABLE parts (id int, email text) PARTITION BY LIST (id)")
    owner.execute("CREATE TABLE part PARTITION OF parts DEFAULT")
    [begun] = owner.execute("SELECT clock_timestamp()").fetchone() or ()
    owner.execute("INSERT INTO users VALUES ('a@test.example.com')")
    owner.execute("INSERT INTO parts VALUES (1, 'a@test.example.com')")
    [over] = owner.execute("SELECT clock_timestamp()").fetchone() or ()

    parts, users = sorted(scanned(database.dsn).tables, key=lambda leak: leak.table)

    assert users.newest == datetime(2020, 1, 1, tzinfo=UTC)
    assert users.committed is not None
    assert parts.committed is not None
    assert begun <= users.committed <= parts.committed <= over


def test_oldest_and_newest_by_created_at(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE aware (c text, created_at timestamptz)")
    owner.execute("CREATE TABLE naive (c text, created_at timestamp)")
    owner.execute("CREATE TABLE other (c text, created_at text DEFAULT 'yesterday')")
    for name in ("aware", "naive"):
        insert(
            owner,
            name,
            ("a@test.example.com", "2020-01-01"),
            ("b@test.example.com", "infinity"),
            ("c@test.example.com", "2021-01-01"),
            ("d@test.example.com", None),
            ("x", "1999-01-01"),
        )
    owner.execute("INSERT INTO other VALUES ('a@test.example.com')")
    owner.execute(f"ALTER DATABASE \"{database.name}\" SET timezone = 'UTC'".encode())

    leaks = {leak.table: leak for leak in scanned(database.dsn).tables}

    for name in ("aware", "naive"):
        assert leaks[name].oldest == datetime(2020, 1, 1, tzinfo=UTC)
        assert leaks[name].newest == datetime(2021, 1, 1, tzinfo=UTC)
    assert (leaks["other"].oldest, leaks["other"].newest) == (None, None)


def test_times_that_python_has_no_word_for(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text, created_at timestamptz)")
    owner.execute(
        "INSERT INTO t VALUES ('a@test.example.com', '4000-01-01 BC'), ('b@test.example.com', '99999-01-01')"
    )

    (leak,) = scanned(database.dsn).tables

    assert (leak.rows, leak.oldest, leak.newest) == (2, None, None)


def test_samples_are_few_and_short(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text)")
    owner.execute(
        "INSERT INTO t SELECT 'somebody-' || i || '@test.example.com' FROM generate_series(1, 50) AS i"
    )
    owner.execute("INSERT INTO t SELECT repeat('x', 100000) || '@test.example.com'")

    (leak,) = scanned(database.dsn).tables

    assert leak.rows == 51
    assert leak.samples == ("someb…@test.example.com", "x" * 39 + "…")


def test_markers_of_ones_own(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c text)")
    owner.execute("INSERT INTO t VALUES ('QA-17'), ('qa-x'), ('a\\b'), ('O''Hara'), ('100%'), ('100x')")

    def count(*markers: MarkerSetting) -> int:
        return scanned(database.dsn, markers).total

    assert count(MarkerSetting("qa", "qa-%")) == 2
    assert count(MarkerSetting("qa", "^qa-", regex=True)) == 1
    assert count(MarkerSetting("qa", r"(?i)^qa-\d+$", regex=True)) == 1
    assert count(MarkerSetting("backslash", "%\\\\%")) == 1
    assert count(MarkerSetting("quote", "o'h%")) == 1
    assert count(MarkerSetting("percent", "100\\%")) == 1
    assert count(MarkerSetting("qa", "qa-%"), MarkerSetting("percent", "100\\%")) == 3


def test_a_regular_expression_that_is_none(database: Database) -> None:
    with pytest.raises(ConfigurationError, match=r"expression of the marker 'broken': .*\("):
        scanned(database.dsn, (MarkerSetting("broken", "^(", regex=True),))


def test_the_report_says_what_was_done(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE b AS SELECT 'a@test.example.com' AS c")
    owner.execute("CREATE TABLE a AS SELECT 'a@test.example.com' AS c FROM generate_series(1, 2)")
    owner.execute("CREATE TABLE c AS SELECT 'x' AS c")
    told: list[tuple[int, int]] = []

    report = scanned(database.dsn, progress=lambda done, total: told.append((done, total)))

    assert report.database == database.name
    assert report.markers == tuple(marker.name for marker in DEFAULT_MARKERS)
    assert [(leak.table, leak.rows) for leak in report.tables] == [("a", 2), ("b", 1)]
    assert (report.total, report.tables_checked, report.complete) == (3, 3, True)
    assert abs(datetime.now(UTC) - report.checked_at) < timedelta(minutes=1)
    assert 0 < report.duration_s < 60
    assert report.server_version.startswith(f"{owner.info.server_version // 10000}.")
    assert told[0] == (0, 3)
    assert told[-1] == (3, 3)
