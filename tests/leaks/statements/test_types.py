"""Strings inside of values of all types, on a real server, against known truth."""

from __future__ import annotations

import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from tests import contrib
from tests.leaks.scanning import insert, make_string_type, reasons, rows, scanned
from tests.servers.sessions import Database, MakeRole

MARK = "a@test.example.com"
NEAR = "a@test.example.com.evil.org"


def fill(owner: Connection[TupleRow], table: str, type_: str, *values: str) -> None:
    """A table with a column `c`, and a row for each value: an SQL expression."""
    name = sql.Identifier(table)
    owner.execute(sql.SQL("CREATE TABLE {} (c {})").format(name, sql.SQL(type_)))
    for value in values:
        owner.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(name, sql.SQL(value)))


# Each type with values that bear a marker, and values that don't.
ZOO = {
    "text[]": (
        ["ARRAY['x', 'A@Test.example.COM']", f"ARRAY[[NULL, 'x'], ['{MARK}', 'y']]", f"'[5:5]={{{MARK}}}'"],
        ["NULL", "'{}'", "'{NULL}'", f"ARRAY['{NEAR}', 'x']", f"ARRAY['{MARK}, x']"],
    ),
    "varchar(60)[]": ([f"ARRAY['{MARK}']"], [f"ARRAY['{NEAR}']"]),
    "char(60)[]": ([f"ARRAY['{MARK}']"], [f"ARRAY['{NEAR}']"]),
    "name[]": ([f"ARRAY['{MARK}'::name]"], [f"ARRAY['{NEAR}'::name]"]),
    "addresses": ([f"ARRAY['{MARK}']"], [f"ARRAY['{NEAR}']", "NULL"]),
    "address[]": ([f"ARRAY['{MARK}'::address]"], [f"ARRAY['{NEAR}'::address]"]),
    "person": (
        [
            f"ROW('{MARK}', 1, NULL)",
            "ROW('x', 1, '{user_1717171717171_abc}')",
            f"ROW(NULL, NULL, '{{{MARK}}}')",
        ],
        ["NULL", "ROW(NULL, NULL, NULL)", f"ROW('{NEAR}', 1, '{{x}}')"],
    ),
    "person[]": (
        [f"ARRAY[ROW('x', 1, NULL), ROW('{MARK}', 2, NULL)]::person[]"],
        [f"ARRAY[NULL, ROW('{NEAR}', 1, NULL)]::person[]"],
    ),
    "adult": ([f"ROW('{MARK}', 18, NULL)"], [f"ROW('{NEAR}', 18, NULL)"]),
    "adult[]": ([f"ARRAY[ROW('{MARK}', 18, NULL)::adult]"], [f"ARRAY[ROW('{NEAR}', 18, NULL)::adult]"]),
    "family": (
        [
            f"ROW(ROW('{MARK}', 1, NULL), NULL, NULL)",
            f'ROW(NULL, NULL, \'[{{"k": ["{MARK}"]}}]\')',
            f"ROW(NULL, ARRAY[ROW('x', 1, '{{\"{MARK}\"}}')]::person[], NULL)",
        ],
        ["ROW(NULL, NULL, NULL)", f"ROW(ROW('{NEAR}', 1, NULL), NULL, '{{\"k\": [\"{NEAR}\"]}}')"],
    ),
    "a_row": ([f"ROW(1, '{MARK}')"], [f"ROW(1, '{NEAR}')"]),
    "words": ([f"words('{MARK}', 'b')", f"words('a', '{MARK}')", f"words('{MARK}', NULL)"], ["'empty'"]),
    "kind": ([], [f"'{MARK}'"]),
    "kind[]": ([], [f"ARRAY['{MARK}'::kind]"]),
    '"char"[]': ([], ["ARRAY['a'::\"char\"]"]),
    "int[]": ([], ["'{1}'"]),
    "bytea": ([], [f"'{MARK}'"]),
}


def make_types(owner: Connection[TupleRow]) -> None:
    for statement in (
        b"CREATE DOMAIN address AS varchar(60) CHECK (value <> '')",
        b"CREATE DOMAIN addresses AS text[]",
        b"CREATE TYPE kind AS ENUM ('a@test.example.com')",
        b'CREATE TYPE person AS ("e mail" text, age int, tags text[])',
        b"CREATE DOMAIN adult AS person CHECK ((value).age >= 18)",
        b'CREATE TYPE family AS ("%s""" person, children person[], notes jsonb)',
        b"CREATE TABLE a_row (dropped text, i int, t text)",
        b"ALTER TABLE a_row DROP COLUMN dropped",
        b"CREATE TYPE words AS RANGE (subtype = text)",
    ):
        owner.execute(statement)


def test_the_zoo(database: Database, owner: Connection[TupleRow]) -> None:
    make_types(owner)
    for type_, (marked, others) in ZOO.items():
        fill(owner, f"t {type_}", type_, *marked, *others)

    report = scanned(database.dsn)

    assert rows(report) == {f"public.t {type_}": len(marked) for type_, (marked, _) in ZOO.items() if marked}
    assert all(leak.columns == ("c",) for leak in report.tables)
    assert all(leak.samples[0].endswith("est.example.com") for leak in report.tables if leak.rows == 1)
    # Nothing is to be found in the other types: they need no reading, and no privilege.
    assert report.tables_checked == len(report.tables) + 1  # and a_row itself
    assert report.complete


def test_multiranges(database: Database, owner: Connection[TupleRow]) -> None:
    if owner.info.server_version < 140000:
        with pytest.raises(errors.UndefinedObject):
            owner.execute("CREATE TABLE t (c int4multirange)")
        return
    owner.execute("CREATE TYPE words AS RANGE (subtype = text, multirange_type_name = many_words)")
    marked = [f"'{{[{MARK},b), [c,d)}}'", f"'{{[0,1), [a,b{MARK})}}'"]
    fill(owner, "t", "many_words", *marked, f"'{{[a,b), [c,d{NEAR})}}'", "'{}'")

    assert rows(scanned(database.dsn)) == {"public.t": 2}


MARKED_JSON = [
    f'"{MARK}"',
    f'{{"a": {{"b": [1, null, {{"c": "{MARK.upper()}"}}]}}}}',
    f'{{"{MARK}": 1}}',
    f'["\\\\", "{MARK}"]',
    f'["\\"", "{MARK}"]',
    '{"id": "user_1717171717171_abc"}',
    '"\\u0061\\u0040test.example.com"',
    '"\\"quoted\\"@test.example.com"',
    '"back\\\\slash@test.example.com"',
    '"two\\nlines@test.example.com"',
    '"\\ud83d\\ude00@test.example.com"',
    '"é☃@test.example.com"',
]
OTHER_JSON = [
    "null",
    "{}",
    '""',
    f'["{NEAR}", "see {MARK} there", "x{MARK}\\u0021"]',
    f'["\\\\\\"{MARK}\\\\\\""]',
    '["\\"@test.example.com\\""]',
    '{"user_1717171717171_": "abc"}',
    '["a@test", ".example.com"]',
    "[1717171717171, true]",
]
# What jsonb and text refuse, and json keeps.
MARKED_JSON_AS_WRITTEN = [
    '"a\\u0000b@test.example.com"',
    '"\\ud800@test.example.com"',
    '"\\udc00\\ud83d\\ude00\\udc00\\ud800\\ud800@test.example.com"',
    f'{{"k": "{MARK}", "k": "x"}}',
    f'[1e999999, "{MARK}"]',
    '"a@test.example.com" ',
    '"\\u005cu0000@test.example.com"',
    '"slash\\/\\b\\f\\t\\r@test.example.com"',
]
OTHER_JSON_AS_WRITTEN = [
    '"a@test.example.com\\u0000"',
    '"a@test.example.com\\ud800"',
    '["\\\\u0061@test.example.comX", "\\u0000"]',
    "[1e999999]",
]


WRAPPED = {
    "json[]": "ARRAY['{{}}', {}]::json[]",
    "jsonb[]": "ARRAY['{{}}', {}]::jsonb[]",
    "wrapped": "ROW('\"\\', {})",
}


@pytest.mark.parametrize("type_", ["json", "jsonb", "document", "json[]", "jsonb[]", "wrapped"])
def test_json(database: Database, owner: Connection[TupleRow], type_: str) -> None:
    owner.execute("CREATE DOMAIN document AS json")
    owner.execute("CREATE TYPE wrapped AS (t text, j json)")
    marked, others = list(MARKED_JSON), list(OTHER_JSON)
    if "jsonb" not in type_:
        marked += MARKED_JSON_AS_WRITTEN
        others += OTHER_JSON_AS_WRITTEN
    for number, text in enumerate([*marked, *others]):
        value = WRAPPED.get(type_, "{}").format(sql.Literal(text).as_string(owner))
        fill(owner, f"t{number}", type_, value)

    report = scanned(database.dsn)

    assert rows(report) == {f"public.t{number}": 1 for number in range(len(marked))}
    assert report.tables_checked == len(marked) + len(others)
    assert report.complete


def test_samples_are_what_matched(database: Database, owner: Connection[TupleRow]) -> None:
    fill(owner, "t", "jsonb", f"""'{{"other": "x", "id": "user_1717171717171_abc", "z": "{NEAR}"}}'""")

    (leak,) = scanned(database.dsn).tables

    assert leak.samples == ("user_1717171717171_abc",)
    assert leak.oldest is not None
    assert leak.oldest.year == 2024


@pytest.mark.contrib
def test_extensions(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute('CREATE SCHEMA "e""%s"')
    contrib.create(owner, 'CREATE EXTENSION hstore SCHEMA "e""%s"')
    contrib.create(owner, "CREATE EXTENSION citext")
    owner.execute('CREATE DOMAIN pairs AS "e""%s".hstore')
    marked = [f'"a"=>"{MARK}"', f'"{MARK}"=>NULL', 'a=>1, b=>"x\\"y@test.example.com"']
    others = ["", f'"a"=>"{NEAR}"', "a=>NULL"]
    for type_ in ('"e""%s".hstore', "pairs"):
        fill(owner, type_[-4:].strip('"'), type_, *(f"'{text}'" for text in [*marked, *others]))
    fill(owner, "many", '"e""%s".hstore[]', f"""ARRAY['a=>1', '{marked[0]}']::"e""%s".hstore[]""")
    fill(owner, "citexts", "citext[]", f"ARRAY['{MARK.upper()}']::citext[]", f"ARRAY['{NEAR}']::citext[]")

    assert rows(scanned(database.dsn)) == {
        "public.tore": 3,
        "public.airs": 3,
        "public.many": 1,
        "public.citexts": 1,
    }


def test_a_cast_of_ones_own_hides_nothing(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TYPE note AS (body jsonb)")
    owner.execute("CREATE FUNCTION nothing(note) RETURNS text LANGUAGE sql AS $$ SELECT '' $$")
    owner.execute("CREATE CAST (note AS text) WITH FUNCTION nothing(note)")
    fill(owner, "t", "note", f"""ROW('["{MARK}"]')""")

    assert rows(scanned(database.dsn)) == {"public.t": 1}


def test_a_string_type_that_prints_something_else(database: Database, owner: Connection[TupleRow]) -> None:
    make_string_type(owner, "BEGIN RETURN textin(public.label_out(value)) || '@test.example.com'; END")
    owner.execute("CREATE TYPE tagged AS (l label, j jsonb)")
    fill(owner, "t", "tagged", "ROW('a', '1')")
    fill(owner, "u", "label[]", "ARRAY['b'::label]")

    assert rows(scanned(database.dsn)) == {"public.t": 1, "public.u": 1}


def test_generated_columns_of_all_kinds(database: Database, owner: Connection[TupleRow]) -> None:
    kinds = ["STORED", "VIRTUAL"] if owner.info.server_version >= 180000 else ["STORED"]
    for kind in kinds:
        owner.execute(
            f"CREATE TABLE {kind} (a text,"
            f" g text[] GENERATED ALWAYS AS (ARRAY[a || '@test.example.com']) {kind},"
            f" j jsonb GENERATED ALWAYS AS (('[\"' || a || '@test.example.com\"]')::jsonb) {kind})".encode()
        )
        insert(owner, kind.lower(), "a", None)

    report = scanned(database.dsn)

    assert rows(report) == {f"public.{kind.lower()}": 1 for kind in kinds}
    assert {leak.columns for leak in report.tables} == {("g", "j")}


def test_a_row_counts_once_whatever_matches_in_it(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (a text, b text[], c jsonb, d json, e text[])")
    owner.execute(
        sql.SQL(
            "INSERT INTO t VALUES ({0}, ARRAY[{0}, {0}], {1}, {1}, NULL), ('x', '{{x}}', '1', '1', '{{y}}')"
        ).format(MARK, f'{{"{MARK}": ["{MARK}", "{MARK}"]}}')
    )

    report = scanned(database.dsn)

    assert rows(report) == {"public.t": 1}
    assert report.tables[0].columns == ("a", "b", "c", "d")


def test_two_levels_of_partitions_and_heirs(database: Database, owner: Connection[TupleRow]) -> None:
    for statement in (
        b"CREATE TABLE p (id int, region int, dropped int, tags text[]) PARTITION BY RANGE (id)",
        b"CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY LIST (region)",
        b"CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1)",
        b"CREATE TABLE p12 (tags text[], region int, dropped int, id int)",  # in another order
        b"ALTER TABLE p1 ATTACH PARTITION p12 FOR VALUES IN (2)",
        b"ALTER TABLE p DROP COLUMN dropped",
        b"INSERT INTO p VALUES (1, 1, '{a@test.example.com}'), (2, 2, '{b@test.example.com}'), (3, 2, '{x}')",
        b"CREATE UNLOGGED TABLE parent (notes jsonb)",
        b"CREATE TABLE child (more text[]) INHERITS (parent)",
        b"INSERT INTO parent VALUES ('[\"a@test.example.com\"]')",
        b"INSERT INTO child VALUES ('1', '{b@test.example.com}'), ('[\"c@test.example.com\"]', NULL)",
        b"CREATE MATERIALIZED VIEW m AS SELECT tags FROM p",
        b"CREATE VIEW v AS SELECT tags FROM p",
    ):
        owner.execute(statement)

    assert rows(scanned(database.dsn)) == {
        "public.p": 2,
        "public.parent": 1,
        "public.child": 2,
        "public.m": 2,
    }


# Also those that the statements of a scan use for something of their own.
NAMES = [
    "v",
    "s",
    "e0",
    "a0",
    "s0",
    "e1",
    "piece",
    "number",
    "cut",
    "created",
    "at",
    "sample",
    "hit",
    "value",
]
NAMES += [
    "select",
    "table",
    "order",
    "all",
    "null",
    'a"b%s',
    "new\nline",
    " ",
    "ä" * 31,
    "\\",
    "'",
    "c.d",
    "}{",
]


@pytest.mark.parametrize("type_", ["jsonb", "text[]", "person[]"])
def test_names_of_columns(database: Database, owner: Connection[TupleRow], type_: str) -> None:
    value = {
        "jsonb": f'["{MARK}"]',
        "text[]": f"{{{MARK}}}",
        "person[]": f'{{"({MARK},1)"}}',
    }[type_]
    fields = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in ("v", "e0"))
    owner.execute(sql.SQL("CREATE TYPE person AS ({})").format(fields))
    owner.execute("CREATE TABLE wide ()")
    for name in NAMES:
        column = sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_))
        owner.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(name), column))
        owner.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(name), value))
        owner.execute(sql.SQL("ALTER TABLE wide ADD COLUMN {}").format(column))
    owner.execute(
        sql.SQL("INSERT INTO wide VALUES ({})").format(sql.SQL(", ").join([sql.Literal(value)] * len(NAMES)))
    )

    leaks = {leak.table: leak for leak in scanned(database.dsn).tables}

    assert leaks.pop("wide").columns == tuple(NAMES)
    assert {name: (leak.columns, leak.rows) for name, leak in leaks.items()} == {
        name: ((name,), 1) for name in NAMES
    }


def test_as_many_columns_as_a_table_can_have(database: Database, owner: Connection[TupleRow]) -> None:
    columns = ", ".join(f"c{number} {'text[]' if number % 100 == 0 else 'text'}" for number in range(1600))
    owner.execute(f"CREATE TABLE wide ({columns})".encode())
    owner.execute(
        "INSERT INTO wide (c0, c5, c1599) VALUES ('{a@test.example.com}', 'x', 'b@test.example.com')"
    )
    owner.execute("INSERT INTO wide (c5) VALUES ('x')")

    report = scanned(database.dsn)

    assert rows(report) == {"public.wide": 1}
    assert report.tables[0].columns == ("c0", "c1599")
    assert report.complete


def test_what_a_plain_role_cant_read_is_said(
    server: EmbeddedServer, database: Database, owner: Connection[TupleRow], make_role: MakeRole
) -> None:
    role = make_role()
    make_types(owner)
    for type_, (marked, _) in ZOO.items():
        if marked:
            fill(owner, f"t {type_}", type_, marked[0])
            for name in ("closed", "own"):
                column = sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_))
                owner.execute(sql.SQL("ALTER TABLE {} ADD {}").format(sql.Identifier(f"t {type_}"), column))
            owner.execute(sql.SQL("UPDATE {} SET closed = c").format(sql.Identifier(f"t {type_}")))
    zoo = [f"t {type_}" for type_, (marked, _) in ZOO.items() if marked]
    for name in zoo[1:]:
        owner.execute(f'GRANT SELECT (c, own) ON "{name}" TO "{role}"'.encode())

    report = scanned(server.dsn(database.name, role))

    assert rows(report) == {f"public.{name}": 1 for name in zoo[1:]}
    assert all(leak.columns == ("c",) for leak in report.tables)
    assert reasons(report) == {
        f"public.{zoo[0]}": "no SELECT privilege",
        "public.a_row": "no SELECT privilege",
        **{
            f"public.{name}": "no SELECT privilege on closed; the other columns were checked"
            for name in zoo[1:]
        },
    }
    for skipped in report.skipped:
        owner.execute(skipped.hint.encode())
    assert rows(scanned(server.dsn(database.name, role))) == {f"public.{name}": 1 for name in zoo}
