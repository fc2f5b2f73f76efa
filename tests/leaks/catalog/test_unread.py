"""Columns that markers aren't looked for in are named, and a gate can mind."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.gate import Gate, findings_named, verdict
from pgwatch_tests.leaks.model import Ignored, UnreadColumn
from pgwatch_tests.settings.load import MarkerSetting
from tests import contrib
from tests.leaks.scanning import rows, scanned
from tests.servers.sessions import Connect, Database


@pytest.fixture
def owner(connect: Connect) -> Connection[TupleRow]:
    return connect(autocommit=True)


def test_columns_that_arent_read_are_named(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TYPE page AS (title text, body xml)")
    owner.execute("CREATE TABLE a (i int, x xml, b bytea, t text)")
    owner.execute("CREATE TABLE b (v tsvector, q tsquery[], j jsonpath, p page)")

    report = scanned(database.dsn)

    assert report.unread == (
        UnreadColumn("public", "a", "x", "xml"),
        UnreadColumn("public", "a", "b", "bytea"),
        UnreadColumn("public", "b", "v", "tsvector"),
        UnreadColumn("public", "b", "q", "tsquery"),
        UnreadColumn("public", "b", "j", "jsonpath"),
        UnreadColumn("public", "b", "p", "xml"),
    )
    assert report.tables_checked == 2
    assert report.complete
    assert verdict(Gate(frozenset({"rows"})), [report]) == "clean"
    assert verdict(Gate(frozenset(findings_named("rows,unread"))), [report]) == "incomplete"


def test_tables_of_such_columns_alone(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE files (content bytea)")

    report = scanned(database.dsn)

    assert [(one.table, one.type) for one in report.unread] == [("files", "bytea")]
    assert (report.tables_checked, report.skipped) == (0, ())


def test_a_refcursor_is_a_string(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE t (c refcursor, d refcursor[])")
    owner.execute(
        "INSERT INTO t VALUES ('a@test.example.com', NULL), (NULL, '{a@test.example.com}'), ('x', NULL)"
    )

    assert rows(scanned(database.dsn)) == {"public.t": 2}


@pytest.mark.contrib
def test_labels_of_an_ltree(database: Database, owner: Connection[TupleRow]) -> None:
    contrib.create(owner, "CREATE EXTENSION ltree")
    owner.execute("CREATE TABLE t (c ltree, d ltree[], q lquery)")
    owner.execute(
        "INSERT INTO t VALUES ('top.user_1717171717171_abc.x', NULL, NULL),"
        " ('user_1717171717171_abc', NULL, NULL),"
        " (NULL, '{a.b,a.user_1717171717171_abc}', NULL), ('top.user_171', NULL, 'user_1717171717171_abc')"
    )

    report = scanned(database.dsn)

    assert rows(report) == {"public.t": 3}
    assert report.unread == (UnreadColumn("public", "t", "q", "lquery"),)


def test_only_our_history_is_left_out_of_its_schema(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE SCHEMA pgwatch_tests")
    owner.execute("CREATE TABLE pgwatch_tests.sweeps (t text)")
    owner.execute("INSERT INTO pgwatch_tests.sweeps VALUES ('a@test.example.com')")
    assert rows(scanned(database.dsn)) == {"pgwatch_tests.sweeps": 1}

    owner.execute("CREATE TABLE pgwatch_tests.layout (version int)")
    owner.execute("CREATE TABLE pgwatch_tests.mine (t text)")
    owner.execute("INSERT INTO pgwatch_tests.mine VALUES ('a@test.example.com')")
    report = scanned(database.dsn)

    assert rows(report) == {"pgwatch_tests.mine": 1}
    assert report.ignored == (Ignored("pgwatch_tests", "the history of sweeps", 2),)


@pytest.mark.parametrize("pattern", [".*", "^", "^x|", ".", "", r"\A", "(?i)[^\n]", "^.*$"])
def test_a_regular_expression_that_takes_anything_is_no_marker(database: Database, pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="would match every row"):
        scanned(database.dsn, (MarkerSetting("all", pattern, regex=True),))
