"""The reports of a watch: harmless as text, exact as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.reports.contention import contention_json, contention_table
from tests.locks.snapshots import edge, session, snapshot

HOSTILE = '[red]x[/]\n\x1b[31m\x9b1m\u202e \udcff "quoted" | %s \x00'


def hostile_watch(hostile: str = HOSTILE) -> Contention:
    meter = ContentionMeter()
    cycle = (edge(4, 3, target=hostile, mode=hostile), edge(3, 4))
    edges = tuple(
        replace(one, lock=replace(one.lock, object=hostile))
        for one in (edge(2, 1, target=hostile), edge(5, 0, gid=hostile), *cycle)
    )
    previous = None
    for at_s in (0.0, 1.0, 2.0):
        previous = settle(previous, snapshot(edges, (session(1, hostile), session(2, hostile)), at_s))
        meter.add(replace(previous, database=hostile))
    seen = meter.result()
    assert seen is not None
    return seen


def test_hostile_text_is_harmless_in_text_and_exact_in_json() -> None:
    seen = hostile_watch()
    for form in ("table", "markdown"):
        text = contention_table.text(seen, "markdown" if form == "markdown" else "table")
        assert not set(text) & set("\x1b\x9b\u202e\x00\udcff")
        assert "[red]x[/]" in text
    table = [line for line in contention_table.text(seen, "markdown").splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in table} == {6, 7}, "no cell makes another column"
    document = contention_json.document(seen)
    assert document.isascii()
    found = json.loads(document)
    assert {"blocker": HOSTILE, "waiter": HOSTILE}.items() <= found["pairs"][0].items() or any(
        pair["blocker"] == HOSTILE == pair["waiter"] for pair in found["pairs"]
    )
    assert found["objects"][0]["object"] == HOSTILE


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab `|\\<>&[]()*_~:/.@#!-\n\x1b"), max_size=30))
def test_foreign_text_is_no_markdown(text: str) -> None:
    for hostile in (text, f"{text}[x](http://evil.example) <img src=x> @a ` **b** www.evil.example"):
        seen = hostile_watch(f"a{hostile}")
        rendered = MarkdownIt("gfm-like").render(contention_table.text(seen, "markdown"))
        outside_code = re.sub(r"<code>.*?</code>", "", rendered, flags=re.DOTALL)
        assert not re.search(r"<a |<img|<strong|<em|<del|&lt;", outside_code)


def session_document(pid: int) -> dict[str, object]:
    return {
        "who": f"test_{pid} (gw{pid}, pid {pid})",
        "database": "test_app",
        "user": "app",
        "client": None,
        "statement": "UPDATE t SET n = 1",
    }


def test_the_document() -> None:
    meter = ContentionMeter()
    for at_s in (0.0, 1.0):
        meter.add(settle(None, snapshot((edge(2, 1, wait_s=4.5),), after_s=at_s)))
    seen = meter.result()
    assert seen is not None
    row = {"blocked_s": 1.0, "waits": 1, "longest_s": 4.5}
    document = json.loads(contention_json.document(seen))
    assert [moment["blocked"] for moment in document.pop("timeline")] == [1] * 5
    [pair] = document["pairs"]
    longest = pair.pop("longest_wait")
    assert (longest.pop("explanation"), longest.pop("advice")) != ("", "")
    assert longest == {
        "wait_s": 4.5,
        "seen_at": "2026-03-01T12:00:01.000Z",
        "target": "row of t (id=1)",
        "object": "row of t (id=1)",
        "mode": "EXCLUSIVE",
        "database": None,
        "waiter": session_document(2),
        "blocker": session_document(1),
        "cause": "same_row",
    }
    assert document == {
        "schema": "pgwatch-tests.contention/1",
        "since": "2026-03-01T12:00:00.000Z",
        "until": "2026-03-01T12:00:01.000Z",
        "server_version": "18.1",
        "database": "test_app",
        "polls": 2,
        "watched_s": 1.0,
        "unwatched_s": 0.0,
        "blocked_s": 1.0,
        "waits": 1,
        "most_blocked": 1,
        "longest_wait": {
            "wait_s": 4.5,
            "waiter": "test_2 (gw2, pid 2)",
            "blockers": ["test_1 (gw1, pid 1)"],
            "object": "row of t (id=1)",
            "mode": "EXCLUSIVE",
            "database": None,
            "seen_at": "2026-03-01T12:00:00.000Z",
        },
        "pairs": [{"blocker": "tests/test_app.py::test_1", "waiter": "tests/test_app.py::test_2", **row}],
        "objects": [{"object": "row of t (id=1)", "mode": "EXCLUSIVE", "database": None, **row}],
        "causes": [{"cause": "same_row", **row}],
        "others": {"pairs": None, "objects": None, "causes": None},
        "accepted": None,
        "deadlocks": {
            "caught": 0,
            "counted_by_server": None,
            "counted_until": None,
            "by_database": [],
            "cycles": [],
        },
    }


def test_the_text() -> None:
    meter = ContentionMeter()
    for at_s in (0.0, 1.0):
        meter.add(settle(None, snapshot((edge(2, 1, wait_s=4.5),), after_s=at_s)))
    seen = meter.result()
    assert seen is not None
    assert contention_table.text(seen) == (
        """\
database test_app · PostgreSQL 18.1 · watched for 1.0 s, 2 polls

Blocked sessions, 2026-03-01 12:00:00 to 2026-03-01 12:00:01 UTC, peak 1
█████

1.0 s blocked in 1 wait, summed over all sessions
longest wait 4.5 s: test_2 (gw2, pid 2) for row of t (id=1), behind test_1 (gw1, pid 1)
deadlocks: 0 seen, the server's own count not known (no two readings)

By test
  Blocked    Share    Waits    Longest  Blocking test              Waiting test
---------  -------  -------  ---------  -------------------------  -------------------------
     1.0s    100 %        1       4.5s  tests/test_app.py::test_1  tests/test_app.py::test_2

The longest wait of each
test_2 (gw2, pid 2) 4.5 s for row of t (id=1), behind test_1 (gw1, pid 1) (same row)
  waits (database test_app, user app): UPDATE t SET n = 1
  blocks (database test_app, user app): UPDATE t SET n = 1
  → Give each test rows of its own. To unblock now, cancel its statement (SELECT pg_cancel_backend(1)).

By object
  Blocked    Share    Waits    Longest  Object           Lock mode
---------  -------  -------  ---------  ---------------  -----------
     1.0s    100 %        1       4.5s  row of t (id=1)  EXCLUSIVE

By cause
  Blocked    Share    Waits    Longest  Cause
---------  -------  -------  ---------  --------
     1.0s    100 %        1       4.5s  same row
"""
    )


def test_a_deadlock_says_who_was_its_victim() -> None:
    meter = ContentionMeter()
    cycle = (edge(1, 2), edge(2, 1))
    sessions = tuple(replace(session(pid), database="test_gw1") for pid in (1, 2))
    previous = None
    for at_s in (0.0, 0.25):
        previous = settle(previous, snapshot(cycle, sessions, at_s))
        meter.add(previous)
    seen = meter.result()
    assert seen is not None
    assert "waits for row of t (id=1) in test_gw1; victim not known\n" in contention_table.text(seen)
    # Of the first there is nothing left.
    survivor = replace(sessions[1], state="idle in transaction")
    meter.add(settle(previous, snapshot((), (survivor,), 0.25)))
    seen = meter.result()
    assert seen is not None
    text = contention_table.text(seen)
    assert "; victim: test_1 (gw1, pid 1, database test_gw1)\n" in text
    assert (
        "  test_2 (gw2, pid 2, database test_gw1) (user app): UPDATE t SET n = 1, for row of t (id=1)\n"
        in text
    )
    [cycle_document] = json.loads(contention_json.document(seen))["deadlocks"]["cycles"]
    assert cycle_document["victim"] == "test_1 (gw1, pid 1, database test_gw1)"
    assert [one["session"]["database"] for one in cycle_document["sessions"]] == ["test_gw1", "test_gw1"]
