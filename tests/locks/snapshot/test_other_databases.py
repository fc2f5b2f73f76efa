"""Who is in another database than the watched one says so, and an unnamed session says what it has."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.locks.contention.contention import ContentionMeter, Pair
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, Party, PreparedTransaction, Session
from pgwatch_tests.reports.contention import contention_table
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.formats import lock_markdown
from tests.locks.snapshots import edge, session, snapshot


def elsewhere(pid: int, database: str, name: str = "psql") -> Session:
    return replace(session(pid, name), database=database, client="10.0.0.7:5123")


def pictured(*sessions: Session) -> LockSnapshot:
    return settle(None, snapshot((edge(2, 1), edge(3, 1)), sessions))


def test_the_tree_and_the_markdown() -> None:
    shown = pictured(elsewhere(1, "test_gw1"), elsewhere(2, "test_app"), replace(session(3), database="b"))
    text = lock_tree.text(shown)
    assert "pid 1  psql (database test_gw1, user app, from 10.0.0.7:5123)  active" in text
    assert "pid 2  psql (user app, from 10.0.0.7:5123)  waits" in text
    assert "pid 3  gw3 tests/test_app.py::test_3 (database b)  waits" in text
    diagnosis = " ".join(text.replace("│", " ").split())
    assert "which psql (pid 1, database test_gw1) has changed or locked" in diagnosis
    assert "`pid 1 (database test_gw1, user app, from 10.0.0.7:5123)`" in lock_markdown.document(shown, 1.0)


def test_who_is_in_the_watched_database_and_has_a_name_says_no_more() -> None:
    graph = LockGraph(pictured(session(1), replace(session(2), database=None)))
    assert [graph.place(Party(pid)) for pid in (1, 2, 3)] == ["", "", ""]
    assert graph.who(Party(1)) == "test_1 (gw1, pid 1)"


def test_a_prepared_transaction_says_its_database() -> None:
    prepared = replace(snapshot(), prepared=(PreparedTransaction("g", database="b", user="app"),))
    graph = LockGraph(prepared)
    assert graph.place(Party(0, "g")) == "database b"
    assert graph.who(Party(0, "g")) == "prepared transaction g (database b)"


def test_unnamed_workers_are_told_apart_by_their_databases() -> None:
    meter = ContentionMeter()
    edges = (edge(2, 1), edge(4, 3))
    sessions = tuple(
        replace(elsewhere(pid, database), database_oid=oid, query=f"SELECT {pid}")
        for pid, database, oid in ((1, "gw0", 5), (2, "gw0", 5), (3, "gw1", 6), (4, "gw1", 6))
    )
    for at_s in (0.0, 1.0):
        meter.add(settle(None, snapshot(edges, sessions, at_s)))
    seen = meter.result()
    assert seen is not None
    pairs = [Pair("psql", "psql", name, name) for name in ("gw0", "gw1")]
    assert sorted(dict(seen.pairs.rows), key=str) == pairs
    assert [seen.pair_waits[pair].blocker.statement for pair in pairs] == ["SELECT 1", "SELECT 3"]
    text = contention_table.text(seen)
    assert "psql in gw0" in text
    assert "  waits (database gw1, user app, from 10.0.0.7:5123): SELECT 4" in text


def test_a_database_whose_name_comes_later_makes_no_second_pair() -> None:
    meter = ContentionMeter()
    for at_s, name in ((0.0, None), (1.0, None), (2.0, "gw0")):
        sessions = tuple(
            replace(elsewhere(pid, ""), database=name, database_oid=5, application_name="psql")
            for pid in (1, 2)
        )
        meter.add(settle(None, snapshot((edge(2, 1, wait_s=at_s + 1),), sessions, at_s)))
    seen = meter.result()
    assert seen is not None
    [(pair, tally)] = seen.pairs.rows
    assert (pair, tally.waits, tally.blocked_s) == (Pair("psql", "psql", "gw0", "gw0"), 1, 2.0)
    assert seen.pair_waits[pair].wait_s == 3.0
