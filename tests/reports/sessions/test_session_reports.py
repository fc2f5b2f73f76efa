"""Sessions in order of their trouble, in every format, whatever other people named them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Session
from pgwatch_tests.locks.waits.session_waits import waits_for
from pgwatch_tests.reports.render.detail_text import detail_lines, joined
from pgwatch_tests.reports.sessions import session_csv, session_json, session_table
from pgwatch_tests.reports.sessions.session_detail import session_detail
from pgwatch_tests.reports.sessions.session_rows import session_rows
from pgwatch_tests.text.toned_text import text_of
from tests.locks.snapshots import edge, session, snapshot

KEYS = {"follow-advice": "A", "copy": "y"}
EVIL = "=1+1 \x1b[31m|`<b>@all\x00\u202e"


def sessions() -> LockSnapshot:
    """Session 2 waits for 1, which is idle in a transaction; 3 runs, 4 is idle, 5 hidden."""
    one = session(1, "pytest:gw0 tests/test_a.py::test_holds", "idle in transaction")
    three = replace(session(3, EVIL, query=EVIL), database="shop", state_age_s=90.0)
    four = replace(session(4, "psql", "idle"), client="10.0.0.7:5123")
    found = snapshot((edge(2, 1, target="row of seats (id=1)"),), (one, three, four, session(5, hidden=True)))
    return replace(found, capacity=Capacity(6, 100, 3, 10, 6400))


def test_roots_stand_first_then_what_else_is_in_trouble() -> None:
    rows = session_rows(sessions(), "longest in state")
    assert [row.session.pid for row in rows] == [1, 2, 3, 5, 4]
    assert [row.tone for row in rows] == ["warning", "notice", "", "quiet", "quiet"]
    assert rows[1].waits == "row of seats (id=1)"
    assert (rows[0].worker, rows[0].test, rows[0].place) == ("gw0", "test_holds", "tests/test_a.py")
    assert [row.session.pid for row in session_rows(sessions(), "pid")] == [1, 2, 3, 4, 5]
    assert session_rows(sessions(), "database")[0].database == "shop"
    assert session_rows(sessions(), "blocked")[0].session.pid == 2


def test_of_some_databases_and_those_that_run_nothing() -> None:
    of_shop = session_rows(sessions(), "pid", databases=("sh*", "nothing"))
    assert [row.session.pid for row in of_shop] == [3]
    # What a hidden session does isn't known.
    assert [row.session.pid for row in session_rows(sessions(), "pid", idle_only=True)] == [1, 4]
    assert "No such session." in session_table.table(sessions(), [])


def test_each_format_takes_other_peoples_text() -> None:
    found = sessions()
    rows = session_rows(found, "longest in state")
    text, markdown = session_table.table(found, rows), session_table.markdown(found, rows)
    for shown in (text, markdown, session_csv.document(rows)):
        assert not any(character in shown for character in "\x1b\x00\u202e")
    assert "6 of 100 connections of the server" in text
    assert "1 hidden (GRANT pg_monitor shows them)" in text
    assert "| `=1+1" not in markdown
    assert "``" in markdown
    lines = list(csv.DictReader(io.StringIO(session_csv.document(rows))))
    assert lines[1]["waits_for"] == "row of seats (id=1)"
    assert lines[2]["query"].startswith("'=1+1")
    document = json.loads(session_json.document(found, rows))
    assert document["schema"] == "pgwatch-tests.sessions/1"
    assert document["sessions"][1]["blocked_by"] == [1]
    assert document["sessions"][0]["blocks"] == 1
    assert document["sessions"][2]["query"] == EVIL
    assert document["sessions"][3]["query"] is None


@pytest.mark.parametrize(
    ("kind", "event", "state", "words"),
    [
        (None, None, "active", "CPU"),
        ("Client", "ClientRead", "active", "its client"),
        ("Client", "ClientRead", "idle", ""),
        ("LWLock", "WALWrite", "active", "internal lock WALWrite"),
        ("IO", "DataFileRead", "active", "disk DataFileRead"),
        ("Extension", None, "active", "extension"),
        ("Strange", "Thing", "active", "Strange Thing"),
        ("Activity", "AutoVacuumMain", "active", ""),
    ],
)
def test_waits_in_words(kind: str | None, event: str | None, state: str, words: str) -> None:
    one: Session = replace(session(1, state=state), wait_event_type=kind, wait_event=event)
    assert waits_for(one) == words
    assert waits_for(replace(one, hidden=True)) == ""


def test_the_detail_of_a_session_says_what_it_does_and_what_to_do() -> None:
    found = sessions()
    graph = LockGraph(found)

    def said(pid: int) -> str:
        detail = session_detail(graph, Party(pid), KEYS.__getitem__, acts=True)
        return "" if detail is None else text_of(joined(detail_lines(detail, 200)))

    assert "A does it (pid 1)" in said(2)
    assert "A does it" in said(1)
    assert "active for 1 min 30 s" in said(3)
    assert "\x1b" not in said(3)
    assert "idle for 2.0 s" in said(4)
    assert "GRANT pg_monitor" in said(5)
    assert said(99) == ""
    alone = LockGraph(snapshot((), (session(1, state="idle in transaction"),)))
    detail = session_detail(alone, Party(1), KEYS.__getitem__)
    assert detail is not None
    assert "It blocks nobody yet." in text_of(joined(detail_lines(detail, 200)))


@pytest.mark.parametrize(
    ("name", "shown_as"), [("test_reads", "test_reads #3e3344b2"), ("test_" + 20 * "x",) * 2]
)
def test_of_a_cut_test_the_hash_gives_way_first(name: str, shown_as: str) -> None:
    shown = snapshot((), (session(1, f"pytest:gw8 #3e3344b2 ..test_report.py::{name}"),))
    (row,) = session_rows(shown, "pid")
    assert (row.test, row.place, row.label.mark) == (name, "…test_report.py", "#3e3344b2")
    assert f"gw8 …test_report.py::{shown_as}  " in session_table.table(shown, [row])


def test_a_hidden_session_shows_how_long_it_waits() -> None:
    hidden = replace(session(2, hidden=True), state_age_s=None)
    rows = session_rows(
        snapshot((edge(2, 1, wait_s=35.0, target="table orders"),), (session(1), hidden)), "pid"
    )
    assert [row.shown_s for row in rows] == [2.0, 35.0]
