"""Every statement says what it answers, names all by pg_catalog, and the server takes it."""

from __future__ import annotations

import psycopg
import pytest

from pgwatch_tests import queries
from tests.qualified import not_qualified
from tests.sessions import Database


def test_there_are_statements() -> None:
    assert "locks" in queries.names()


@pytest.mark.parametrize("name", queries.names())
def test_a_statement_begins_with_its_question(name: str) -> None:
    text = queries.load(name)
    comment = [line for line in text.splitlines() if line.startswith("--")]
    assert text.startswith("-- ")
    assert any("?" in line for line in comment)
    statement = "".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    assert statement.index(";") == len(statement) - 1


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
