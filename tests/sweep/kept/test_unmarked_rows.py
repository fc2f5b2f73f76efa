"""Rows without a marker in tables that bear some: they are told apart where they go, or they stay."""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import Change, ChangedRows
from pgwatch_tests.sweep.run import Sweep
from tests.servers.sessions import Database
from tests.sweep.rows.bookings import REQUEST, settings
from tests.sweep.rows.row_sweeps import deleted, ids, kept, make, swept, swept_thoroughly


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


@pytest.mark.parametrize("dry_run", [True, False])
def test_they_are_told_apart(teams: Connection[TupleRow], database: Database, dry_run: bool) -> None:
    report = swept(database.dsn, dry_run=dry_run)

    assert {one.table: one.unmarked for one in report.planned if one.unmarked} == {"member_c": 1}
    assert report.changed == (ChangedRows("public", "book", ("author",), "set_null", 1),)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT"])
def test_only_the_columns_that_are_set_are_told(
    owner: Connection[TupleRow], database: Database, action: LiteralString, dry_run: bool
) -> None:
    has_columns = owner.info.server_version >= 150000
    make(
        owner,
        "CREATE TABLE author (tenant int, id int, name text, PRIMARY KEY (tenant, id));"
        "CREATE TABLE book (id int PRIMARY KEY, tenant int, author int, title text,"
        " FOREIGN KEY (tenant, author) REFERENCES author"
        f" ON DELETE {action} {'(author)' if has_columns else ''});",
    )
    make(
        owner,
        "INSERT INTO author VALUES (7, 1, MARKED); INSERT INTO book VALUES (1, 7, 1, 'A real book')",
    )

    report = swept(database.dsn, dry_run=dry_run)

    columns = ("author",) if has_columns else ("tenant", "author")
    how: Change = "set_null" if action == "SET NULL" else "set_default"
    assert report.changed == (ChangedRows("public", "book", columns, how, 1),)
    if not dry_run:
        rows = owner.execute("SELECT tenant, author FROM book").fetchall()
        assert rows == [(7 if has_columns else None, None)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_they_are_kept_with_what_they_hang_on(
    teams: Connection[TupleRow], database: Database, dry_run: bool
) -> None:
    request = replace(REQUEST, dry_run=dry_run, keep_unmarked=True)
    report = Sweep(settings(database.dsn), request).run()

    assert 1 in ids(teams, "team")
    assert 1 in ids(teams, "member_c")
    assert not any(one.unmarked for one in report.planned)
    assert kept(report)["team", "shared_with_real_data"] == 2


def test_all_of_them_go_once(owner: Connection[TupleRow], database: Database) -> None:
    """Two levels of CASCADE: what hangs on an unmarked row that goes is dependent, and counted once."""
    make(
        owner,
        "CREATE TABLE team (id int PRIMARY KEY, name text);"
        "CREATE TABLE member (id int PRIMARY KEY, team int REFERENCES team ON DELETE CASCADE, email text);"
        "CREATE TABLE post (id int PRIMARY KEY, author int REFERENCES member ON DELETE CASCADE);"
        "INSERT INTO team VALUES (1, MARKED);"
        "INSERT INTO member VALUES (1, 1, 'real'), (2, 1, MARKED), (3, NULL, 'real'), (4, NULL, MARKED);"
        "INSERT INTO post VALUES (1, 1), (2, 1), (3, 2), (4, 3)",
    )

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "post") == [4]
    assert {1, 2}.isdisjoint(ids(owner, "member"))
    assert {one.table: (one.dependent, one.unmarked) for one in report.deleted} == {
        "team": (0, 0),
        "member": (1, 1),
        "post": (3, 0),
    }


def test_rows_that_go_as_well_are_not_told_as_changed(
    owner: Connection[TupleRow], database: Database
) -> None:
    """Two marked rows refer to each other's children by SET NULL: they go one after the other."""
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, email text, latest int);"
        "CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES users ON DELETE CASCADE);"
        "ALTER TABLE users ADD FOREIGN KEY (latest) REFERENCES posts ON DELETE SET NULL;"
        "INSERT INTO users VALUES (1, MARKED, NULL), (2, MARKED, NULL);"
        "INSERT INTO posts VALUES (11, 1), (22, 2);"
        "UPDATE users SET latest = CASE id WHEN 1 THEN 22 ELSE 11 END",
    )

    dry = Sweep(settings(database.dsn), replace(REQUEST, dry_run=True, clusters_at_once=1)).run()
    report = Sweep(settings(database.dsn), replace(REQUEST, clusters_at_once=1)).run()

    assert ids(owner, "users") == ids(owner, "posts") == []
    assert dry.planned == report.planned == report.deleted
    assert dry.changed == report.changed == ()
    assert report.side_effects == ()
