"""Counters that triggers of children keep on their parents, which are marked rows as well: all go."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, make, swept_thoroughly

_BY_ROW: LiteralString = (
    "BEGIN UPDATE public.keyword SET uses = uses - 1 WHERE id = OLD.keyword_id; RETURN OLD; END"
)
_BY_STATEMENT: LiteralString = (
    "BEGIN UPDATE public.keyword SET uses = uses - gone.times"
    " FROM (SELECT keyword_id, count(*) AS times FROM gone GROUP BY 1) AS gone WHERE id = gone.keyword_id;"
    " RETURN NULL; END"
)
COUNTERS: dict[str, tuple[LiteralString, LiteralString]] = {
    "before each row": ("BEFORE DELETE ON used FOR EACH ROW", _BY_ROW),
    "after each row": ("AFTER DELETE ON used FOR EACH ROW", _BY_ROW),
    "after the statement": (
        "AFTER DELETE ON used REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
        _BY_STATEMENT,
    ),
    "at the end": ("AFTER DELETE ON used DEFERRABLE INITIALLY DEFERRED FOR EACH ROW", _BY_ROW),
}


@pytest.fixture(params=COUNTERS)
def keywords(owner: Connection[TupleRow], request: pytest.FixtureRequest) -> Connection[TupleRow]:
    """Two marked keywords, 1 used twice and 2 never, and a real one."""
    make(
        owner,
        "CREATE TABLE keyword (id int PRIMARY KEY, word text NOT NULL, uses int NOT NULL DEFAULT 0);"
        "CREATE TABLE used (id int, keyword_id int NOT NULL REFERENCES keyword);"
        "CREATE INDEX ON used (keyword_id);"
        "INSERT INTO keyword VALUES (1, MARKED, 2), (2, MARKED, 0), (3, 'real', 1);"
        "INSERT INTO used VALUES (1, 1), (2, 1)",
    )
    when, body = COUNTERS[request.param]
    owner.execute(
        sql.SQL("CREATE FUNCTION count_uses() RETURNS trigger LANGUAGE plpgsql AS {}").format(
            sql.Literal(body)
        )
    )
    constraint = "CONSTRAINT " if "DEFERR" in when else ""
    owner.execute(f"CREATE {constraint}TRIGGER count_uses {when} EXECUTE FUNCTION count_uses()".encode())
    return owner


def test_counted_parents_go(database: Database, keywords: Connection[TupleRow]) -> None:
    report = swept_thoroughly(database.dsn)

    assert ids(keywords, "keyword") == [3]
    assert ids(keywords, "used") == []
    assert deleted(report) == {"keyword": (2, 0), "used": (0, 2)}
    assert report.kept == ()
    assert report.complete


def test_counters_of_real_rows_are_right(database: Database, keywords: Connection[TupleRow]) -> None:
    make(
        keywords,
        "ALTER TABLE used ADD mark text; UPDATE used SET mark = MARKED;"
        "UPDATE keyword SET uses = 4 WHERE id = 3;"
        "INSERT INTO used VALUES (3, 3, MARKED), (4, 3, 'real'), (5, 3, MARKED), (6, 3, MARKED)",
    )

    swept_thoroughly(database.dsn)

    left = ids(keywords, "used")
    assert 4 in left
    # Perhaps one stays, by which the real one can be told from test data the next time.
    assert len(left) <= 2
    assert keywords.execute("SELECT uses FROM keyword WHERE id = 3").fetchall() == [(len(left),)]


def test_counters_of_a_chain(database: Database, owner: Connection[TupleRow]) -> None:
    """A child's trigger moves its parent, whose trigger moves the row above: each goes once."""
    make(
        owner,
        "CREATE TABLE node (id int PRIMARY KEY, above int REFERENCES node, mark text, below int DEFAULT 0);"
        "CREATE INDEX ON node (above);"
        "CREATE FUNCTION count_below() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE public.node SET below = below - 1 WHERE id = OLD.above; RETURN OLD; END $$;"
        "INSERT INTO node VALUES (1, NULL, MARKED, 2), (2, 1, NULL, 1), (3, 2, NULL, 0), (4, 1, NULL, 0);"
        "INSERT INTO node VALUES (5, NULL, NULL, 0);"
        "CREATE TRIGGER count_below BEFORE DELETE ON node FOR EACH ROW EXECUTE FUNCTION count_below()",
    )
    # NO ACTION: an unmarked row of a table with marked ones is real, so its parent stays.
    report = swept_thoroughly(database.dsn)
    assert deleted(report) == {}
    assert ids(owner, "node") == [1, 2, 3, 4, 5]
    assert owner.execute("SELECT sum(below) FROM node").fetchall() == [(3,)]

    make(owner, "UPDATE node SET mark = MARKED WHERE id < 5")
    report = swept_thoroughly(database.dsn)
    assert deleted(report) == {"node": (4, 0)}
    assert ids(owner, "node") == [5]
