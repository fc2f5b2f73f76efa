"""Every statement says what it answers, and the server takes it."""

from __future__ import annotations

import psycopg
import pytest

from pgwatch_tests import queries
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


@pytest.mark.parametrize("name", [name for name in queries.names() if "%(" not in queries.load(name)])
def test_a_statement_without_parameters_runs(name: str, database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        assert connection.execute(queries.load(name).encode()).description is not None
