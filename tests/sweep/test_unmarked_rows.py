"""Rows without a marker in tables that bear some: they are told apart where they go, or they stay."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.sessions import Database
from tests.sweep.row_sweeps import deleted, ids, kept, make, swept_thoroughly


@pytest.fixture
def teams(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """A real member of a marked team, by ON DELETE CASCADE and by NO ACTION; a marked author's real book."""
    make(
        owner,
        "CREATE TABLE team (id int PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE member_c"
        " (id int PRIMARY KEY, team int NOT NULL REFERENCES team ON DELETE CASCADE, email text NOT NULL);"
        "CREATE TABLE member_n (id int PRIMARY KEY, team int NOT NULL REFERENCES team, email text NOT NULL);"
        "CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE book"
        " (id int PRIMARY KEY, author int REFERENCES author ON DELETE SET NULL, title text NOT NULL);"
        "INSERT INTO team VALUES (1, MARKED), (2, MARKED), (3, 'real');"
        "INSERT INTO member_c VALUES (1, 1, 'real@example.org'), (2, 3, MARKED), (4, 3, MARKED);"
        "INSERT INTO member_n VALUES (1, 2, 'real@example.org'), (2, 3, MARKED), (4, 3, MARKED);"
        "INSERT INTO author VALUES (1, MARKED); INSERT INTO book VALUES (1, 1, 'A real book')",
    )
    return owner


def test_what_goes_and_what_stays(teams: Connection[TupleRow], database: Database) -> None:
    report = swept_thoroughly(database.dsn)

    assert ids(teams, "team") == [2, 3]
    assert 1 not in ids(teams, "member_c")
    assert 1 in ids(teams, "member_n")
    assert kept(report)["team", "shared_with_real_data"] == 1
    assert deleted(report)["member_c"][1] == 1
    assert teams.execute("SELECT author FROM book").fetchall() == [(None,)]
