"""What the text of a statement tells, and what it doesn't."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.waits import statement_text
from pgwatch_tests.locks.waits.statement_text import Effects, Write


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("", ""),
        ("truncate a, b", "TRUNCATE"),
        ("-- why\n/* and /* nested */ how */ DROP\nTABLE a", "DROP TABLE"),
        ("create unique index concurrently i ON t (n)", "CREATE UNIQUE INDEX CONCURRENTLY"),
        ("BEGIN; SET lock_timeout = '5s'; ALTER TABLE t ADD n int", "ALTER TABLE"),
        ("BEGIN", "BEGIN"),
        ("DROP table_of_mine", "DROP"),
        ("(SELECT 1)", ""),
        ("SELECT 'cut off", "SELECT"),
    ],
)
def test_the_kind(query: str, kind: str) -> None:
    assert statement_text.kind(query) == kind


@pytest.mark.parametrize(
    ("query", "table", "named"),
    [
        ("TRUNCATE tb", "tb", True),
        ("TRUNCATE tb", "ta", False),
        ("TRUNCATE TABLE ONLY a, public.TA *, b CASCADE", "ta", True),
        ("TRUNCATE other.ta", "ta", False),
        ("TRUNCATE invoices", "billing.invoices", True),
        ("TRUNCATE billing.invoices", "billing.invoices", True),
        ('drop table if exists "My ""Table"""', '"My ""Table"""', True),
        ("drop table mytable", '"MyTable"', False),
        ("DROP SCHEMA IF EXISTS a, billing CASCADE", "billing.invoices", True),
        ("DROP SCHEMA billing CASCADE", "invoices", False),
        ("DROP SCHEMA public CASCADE", "invoices", True),
        ("BEGIN; ALTER TABLE ta ADD n int; TRUNCATE tb", "ta", False),
        ("SELECT * FROM ta", "ta", False),
        # As the server cuts names off: after 63 bytes, at a whole character.
        (f"TRUNCATE {'x' * 70}", "x" * 63, True),
        (f"TRUNCATE {'x' * 62}", "x" * 63, False),
        (f'TRUNCATE "{"ä" * 40}"', f'"{"ä" * 31}"', True),
    ],
)
def test_whether_a_table_is_named(query: str, table: str, named: bool) -> None:
    assert statement_text.names(query, table) is named


def update(table: str, *columns: str) -> Write:
    return Write("UPDATE", (table,), frozenset(columns), updates=True)


@pytest.mark.parametrize(
    ("query", "writes"),
    [
        ("UPDATE acc SET v = v + 1 WHERE id = 1", [update("acc", "v")]),
        (
            'update only acc * as a set "V" = (SELECT 1, 2), w[1] = 3, x.y = f(a, b)',
            [update("acc", "V", "w", "x")],
        ),
        ("UPDATE acc SET (a, b) = (1, 2), c = 3 FROM d WHERE 1 = 1", [update("acc", "a", "b", "c")]),
        ("UPDATE acc SET v = $1", [update("acc", "v")]),
        ("UPDATE acc SET v = (1", [Write("UPDATE", ("acc",), None, updates=True)]),
        ("WITH u AS (UPDATE acc SET v = 1 RETURNING id) SELECT * FROM u", [update("acc", "v")]),
        (
            "DELETE FROM ONLY s.acc WHERE v = 'x; UPDATE b SET c = 1'",
            [Write("DELETE", ("s", "acc"), frozenset(), updates=True)],
        ),
        ("INSERT INTO acc VALUES (1) ON CONFLICT DO NOTHING", [Write("INSERT", ("acc",))]),
        (
            "INSERT INTO acc VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 1",
            [Write("INSERT", ("acc",), updates=True)],
        ),
        ("COPY acc (id) FROM STDIN", [Write("COPY", ("acc",))]),
        ("COPY acc TO STDOUT", []),
        (
            "MERGE INTO acc USING x ON x.id = acc.id WHEN MATCHED THEN UPDATE SET v = 1"
            " WHEN NOT MATCHED THEN DO NOTHING",
            [Write("MERGE", ("acc",), frozenset({"v"}), updates=True)],
        ),
        (
            "MERGE INTO acc USING x ON x.id = acc.id WHEN MATCHED THEN UPDATE SET v = 1"
            " WHEN NOT MATCHED THEN INSERT VALUES (1)",
            [Write("MERGE", ("acc",), None, updates=True)],
        ),
        ("BEGIN; UPDATE a SET v = 1; UPDATE b SET w = 2", [update("a", "v"), update("b", "w")]),
    ],
)
def test_what_is_written(query: str, writes: list[Write]) -> None:
    assert statement_text.effects(query) == Effects(tuple(writes), locks_rows=False)


@pytest.mark.parametrize(
    "query", ["", "CALL f()", "DO $$ x $$", "COMMIT", "EXECUTE s", "FETCH 1 FROM c", "é"]
)
def test_what_may_do_anything(query: str) -> None:
    assert statement_text.effects(query) is None


@pytest.mark.parametrize(
    ("query", "locks"),
    [
        ("SELECT * FROM acc FOR UPDATE", True),
        ("SELECT * FROM acc FOR NO KEY UPDATE OF acc NOWAIT", True),
        ("INSERT INTO a SELECT 1 FROM b FOR KEY SHARE", True),
        ("SELECT substring(a FROM 1 FOR 2) FROM acc", False),
        ("SELECT 'for update' FROM acc", False),
    ],
)
def test_whether_rows_are_locked(query: str, locks: bool) -> None:
    found = statement_text.effects(query)
    assert found is not None
    assert found.locks_rows is locks
    assert all(write.verb == "INSERT" for write in found.writes)


def test_what_a_text_that_was_cut_off_may_do_is_not_known() -> None:
    rest = "x" * 1100
    cut = f"UPDATE acc SET v = 1, w = '{rest}"  # noqa: S608  # never run
    assert statement_text.effects(cut) == Effects(
        (Write("UPDATE", ("acc",), None, updates=True),), locks_rows=False
    )
    assert statement_text.effects(cut.replace(",", " WHERE ")) == Effects((update("acc", "v"),), False)
    assert statement_text.effects(f"WITH a AS (SELECT 1) SELECT '{rest}") is None


_PIECES = st.sampled_from(
    [
        *("UPDATE", "SET", "INSERT INTO", "MERGE INTO", "DELETE FROM", "COPY", "TRUNCATE", "ONLY", "WHEN"),
        *(
            "THEN",
            "DO",
            "FOR",
            "acc",
            '"A',
            '"',
            "'",
            "(",
            ")",
            "[",
            ",",
            ";",
            "=",
            "$$",
            "$1",
            "/*",
            "*/",
            "--",
        ),
        *("\n", ".", "*", "é"),
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(_PIECES, max_size=12).map(" ".join)))
def test_any_text_can_be_read(query: str) -> None:
    statement_text.kind(query)
    statement_text.effects(query)
    statement_text.names(query, query)
    statement_text.has_words(query, "a")


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("CREATE EXTENSION IF NOT EXISTS hstore", "extension hstore"),
        ('create extension "uuid-ossp"', 'extension "uuid-ossp"'),
        ("CREATE USER app LOGIN", "role app"),
        ("/* job */ CREATE UNLOGGED TABLE IF NOT EXISTS public.runs (id int)", "table runs"),
        ("CREATE TABLE audit.log (id int)", "table audit.log"),
        ("BEGIN; CREATE SCHEMA IF NOT EXISTS audit", "schema audit"),
        ("CREATE OR REPLACE FUNCTION f(int) RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql", "function f"),
        ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n)", "index i"),
        (
            "DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            "role app",
        ),
        (
            "DO $x$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles) THEN CREATE ROLE app; END IF; END $x$",
            "role app",
        ),
        ("DO $$ BEGIN UPDATE t SET n = 1; CREATE ROLE app; END $$", None),
        ("DO $$ BEGIN CREATE ROLE a; CREATE ROLE b; END $$", None),
        ("DO $$ BEGIN EXECUTE 'CREATE ROLE a'; END $$", None),
        ("DO 'BEGIN END'", None),
        ("CREATE INDEX ON t (n)", None),
        ("CREATE TEMP TABLE t (id int)", None),
        ("CREATE TABLE t AS SELECT * FROM other FOR UPDATE", None),
        ("CREATE TABLE a (); CREATE TABLE b ()", None),
        ("CREATE", None),
        ("CREATE TABLE IF NOT", None),
        ("INSERT INTO t VALUES ('CREATE TABLE t ()')", None),
        ("", None),
    ],
)
def test_what_is_created(query: str, what: str | None) -> None:
    assert statement_text.created(query) == what


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("TRUNCATE a", ("a",)),
        ("truncate table only public.a, audit.b RESTART IDENTITY CASCADE", ("public.a", "audit.b")),
        ('TRUNCATE a; TRUNCATE "My B"', ("a", '"My B"')),
        ("DELETE FROM a", ()),
        ("", ()),
    ],
)
def test_what_is_truncated(query: str, tables: tuple[str, ...]) -> None:
    assert statement_text.truncated(query) == tables
