"""Every statement says what it answers, names all by pg_catalog, and the server takes it."""

from __future__ import annotations

import re

import psycopg
import pytest

from pgwatch_tests.postgres import queries
from tests.qualified import not_qualified
from tests.servers.sessions import Database


def test_there_are_statements() -> None:
    assert "locks" in queries.names()


@pytest.mark.parametrize("name", queries.names())
def test_a_file_is_one_statement(name: str) -> None:
    lines = queries.load(name).splitlines()
    statement = "".join(line for line in lines if not line.lstrip().startswith("--"))
    assert statement.index(";") == len(statement) - 1


FILES = {
    path.relative_to(queries.directory()).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(queries.directory().rglob("*.sql"))
}
# What changes rows, or outlives the statement: advisory locks, signals to other sessions, settings.
ACTS = re.compile(
    r"\b(?:delete\s+from|insert\s+into|merge\s+into|truncate|alter|create|drop|update\s+\S+\s+set)\b"
    r"|\bpg_(?:try_)?advisory_(?:xact_)?(?:un)?lock\w*\s*\(|\bpg_(?:terminate|cancel)_backend\s*\("
    r"|\b(?:set_config|setval|nextval|lo_\w+|pg_drop_\w+|pg_stat_reset\w*|pg_reload_conf)\s*\(",
    re.IGNORECASE,
)
VERBS = ("Cancel", "Create", "Delete", "Drop", "End", "Release", "Set", "Take")


def wrong_first_line(text: str) -> str | None:
    """What is wrong with it: a statement that only reads asks, one that acts says so with a verb."""
    first, _, rest = text.partition("\n")
    if not first.startswith("-- "):
        return "no comment"
    code = "\n".join(re.sub(r"'(?:[^']|'')*'", "''", line.partition("--")[0]) for line in rest.splitlines())
    if ACTS.search(code) is None:
        return None if first.endswith("?") else "it only reads: end with a question mark"
    begins = first.removeprefix("-- ").partition(" ")[0] in VERBS
    return None if begins and first.endswith(".") else "it acts: begin with a verb, end with a full stop"


@pytest.mark.parametrize("name", FILES)
def test_a_file_begins_with_its_question_or_a_verb(name: str) -> None:
    assert wrong_first_line(FILES[name]) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("-- Who waits?\nSELECT 1;", None),
        ("SELECT 1;", "no comment"),
        ("-- Who waits? One row each.\nSELECT 1;", "it only reads"),
        ("-- Delete all.\nSELECT 'DELETE FROM m.t' -- DELETE FROM m.t\n;", "it only reads"),
        ("-- Which may go?\nDELETE FROM m.t;", "it acts"),
        ("-- Which may go.\nDELETE FROM m.t;", "it acts"),
        ("-- Is it ours?\nSELECT pg_catalog.pg_try_advisory_lock(1);", "it acts"),
        ("-- Who is it?\nSELECT pg_catalog.pg_terminate_backend(1);", "it acts"),
        ("-- Take it.\nSELECT pg_catalog.pg_advisory_xact_lock(1);", None),
        (
            "-- Which are there?\nSELECT m.tuples_updated(1), 'DROP' FROM m.t FOR UPDATE;",
            None,
        ),
    ],
)
def test_a_first_line_that_hides_an_act_is_wrong(text: str, wrong: str | None) -> None:
    found = wrong_first_line(text)
    assert found is None if wrong is None else found is not None and found.startswith(wrong)


@pytest.mark.parametrize("name", queries.names())
def test_a_statement_finds_nothing_by_a_search_path(name: str) -> None:
    assert list(not_qualified(queries.load(name))) == []


# Statements that are found wanting, and for what.
WANTING = {
    "SELECT count(*) FROM pg_catalog.t WHERE a = 'x = y'": ["function count", "operator ="],
    'SELECT a::text COLLATE "C", b::bigint': ["type text", 'collation "C"'],
    "SELECT CAST(a AS int), CAST(b AS m.t), CAST(c AS text)": ["type text"],
    "SELECT a FROM m.t WHERE b IN (1)": ["operator of in"],
    "SELECT a FROM m.t WHERE b LIKE 'x' AND c BETWEEN 1 AND 2": ["operator of like", "operator of between"],
    "SELECT a IS NOT DISTINCT FROM 1, a IS DISTINCT FROM 1": ["operator of is distinct"] * 2,
    "SELECT CASE a WHEN 1 THEN 2 END": ["operator of case"],
    "SELECT nullif(a, 0)": ["operator of nullif", "function nullif"],
    "SELECT a FROM m.t JOIN m.u USING (id)": ["operator of using"],
    "SELECT extract(epoch FROM clock_timestamp() - a)": ["function clock_timestamp", "operator -"],
    "SELECT a OPERATOR(m.=) 1, a OPERATOR(pg_catalog.+) -1 - 1": ["operator =", "operator -", "operator -"],
    "SELECT a FROM pg_class": ["relation pg_class"],
    "WITH a AS (SELECT b FROM m.c) SELECT b FROM a JOIN c ON true": ["relation c"],
    "SELECT a FROM m.t CROSS JOIN LATERAL unnest(b) AS c (d)": ["function unnest"],
    "SELECT substring(a, 1), substring(a FROM 'x')": ["function substring"],
    # Found by nobody's path.
    "SELECT pg_catalog.count(*), -1, 'count(*)' FROM pg_catalog.t -- WHERE a = 1": [],
    "WITH RECURSIVE a (b) AS (SELECT 1) SELECT a.*, coalesce(b, 2) FROM a": [],
    "SELECT a OPERATOR(pg_catalog.=) ANY (ARRAY[-1]) AND a IS NOT NULL FROM m.t AS u (a)": [],
}


@pytest.mark.parametrize("statement", WANTING)
def test_what_is_found_by_a_search_path_is_told(statement: str) -> None:
    assert list(not_qualified(statement)) == WANTING[statement]


def test_what_the_tokenizer_doesnt_know_is_no_statement_of_ours() -> None:
    with pytest.raises(ValueError, match=r"\$"):
        list(not_qualified("SELECT $$x$$"))


@pytest.mark.parametrize("name", [name for name in queries.names() if "%(" not in queries.load(name)])
def test_a_statement_without_parameters_runs(name: str, database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        assert connection.execute(queries.load(name).encode()).description is not None
