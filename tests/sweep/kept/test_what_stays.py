"""What stays is as little as will do, and the reason is true of the very table that it is told of."""

from __future__ import annotations

from psycopg import Connection
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import ids, make, swept_thoroughly


def test_a_lone_row_is_kept_rather_than_one_with_a_thousand_others(
    database: Database, owner: Connection[TupleRow]
) -> None:
    """To tell the real member from test data the next time, any of 51 marked ones would do."""
    make(
        owner,
        "CREATE TABLE team (id int PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE member (id int PRIMARY KEY, team int REFERENCES team, email text NOT NULL);"
        "CREATE TABLE token (id int PRIMARY KEY, team int NOT NULL REFERENCES team);"
        "CREATE INDEX ON member (team); CREATE INDEX ON token (team);"
        "INSERT INTO team VALUES (1, MARKED), (2, MARKED);"
        "INSERT INTO member SELECT i, NULL, MARKED FROM generate_series(1, 50) i;"
        "INSERT INTO member VALUES (99, 2, 'real@example.org'), (100, 1, MARKED);"
        "INSERT INTO token SELECT i, 1 FROM generate_series(1, 1000) i",
    )

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "token") == []
    assert ids(owner, "team") == [2]
    left = ids(owner, "member")
    assert 99 in left
    assert len(left) <= 2
    assert 100 not in left
    assert report.deleted_rows == 1 + 1000 + 52 - len(left)


def test_the_reason_is_of_the_key_that_leads_there(database: Database, owner: Connection[TupleRow]) -> None:
    """A real member of the same marked team keeps the token: no key leads from member to token."""
    make(
        owner,
        "CREATE TABLE team (id int PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE member (id int PRIMARY KEY, team int NOT NULL REFERENCES team, email text NOT NULL);"
        "CREATE TABLE token (id int PRIMARY KEY, team int NOT NULL REFERENCES team);"
        "INSERT INTO team VALUES (1, MARKED), (2, MARKED);"
        "INSERT INTO member VALUES (1, 1, 'real@example.org'), (2, 2, MARKED), (3, 2, MARKED);"
        "INSERT INTO token VALUES (1, 1), (2, 2)",
    )

    report = swept_thoroughly(database.dsn)

    assert 1 in ids(owner, "team")
    assert 1 in ids(owner, "token")
    told = [one for one in report.kept if one.table == "token" and "last marked row" not in one.detail]
    assert [(one.rows, one.reason) for one in told] == [(1, "shared_with_real_data")]
    assert told[0].detail == "public.member (id=1) bears no marker and refers to public.team"
