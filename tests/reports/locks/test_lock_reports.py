"""Whatever the locks look like, the reports can say it; what they say is harmless and stays the same."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import Edge, LockTag, Subject
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.folded_tree import folded_rows
from pgwatch_tests.reports.locks.formats import lock_json
from tests.locks.snapshots import edge, session, snapshot


@st.composite
def edges(draw: st.DrawFn) -> tuple[Edge, ...]:
    """Any edges between a few sessions and prepared transactions, of any age."""
    found = {}
    for _ in range(draw(st.integers(0, 14))):
        waiter, blocker = draw(st.integers(1, 6)), draw(st.integers(0, 6))
        if waiter == blocker:
            continue
        found[waiter, blocker] = edge(
            waiter,
            blocker,
            draw(st.sampled_from(["hard", "soft", "safe_snapshot", "connected"])),
            draw(st.sampled_from([None, 0.0, 0.05, 0.2, 90.0])),
            draw(st.sampled_from(["", "table t", "row of t (id=1)"])),
            draw(st.sampled_from(["AccessExclusiveLock", "ShareLock", ""])),
            Subject(draw(st.sampled_from(["relation", "row", "unique_key", "advisory", "other"]))),
            LockTag(draw(st.sampled_from(["relation", "tuple", "advisory"]))),
            "" if blocker else "a gid",
        )
    return tuple(found.values())


@given(edges(), edges())
def test_every_picture_can_be_said(first: tuple[Edge, ...], second: tuple[Edge, ...]) -> None:
    before = settle(None, snapshot(first))
    for shown in (before, settle(before, snapshot(second, after_s=0.25))):
        text = lock_tree.text(shown)
        document = json.loads(lock_json.document(shown))
        graph = LockGraph(shown)
        rows = folded_rows(graph, all_open=True)
        assert len({row.key for row in rows}) == len(rows), "keys of a table are unique"
        assert {row.party for row in rows if row.party} == graph.nodes
        assert ("othing is blocked" in text.partition("\n")[0]) == (document["blocked"] == 0)
        assert {root["pid"] for root in document["roots"]} == {root.pid for root in graph.root_blockers}


HOSTILE = '[red]x[/]\n\x1b[31m\x9b1m\u202e \udcff "quoted" %s \x00'


def test_hostile_text_is_harmless_in_text_and_exact_in_json() -> None:
    root = session(1, HOSTILE, "idle in transaction", query=HOSTILE)
    shown = settle(None, snapshot((edge(2, 1, target=f"table {HOSTILE}"),), (root,)))
    text = lock_tree.text(shown)
    assert not set(text) & set("\x1b\x9b\u202e\x00\udcff")
    assert "[red]x[/]" in text
    document = lock_json.document(shown)
    assert document.isascii()
    assert json.loads(document)["sessions"][0]["query"] == HOSTILE


def test_the_tree_as_people_read_it() -> None:
    root = session(4711, "pytest:gw0 tests/test_a.py::test_root", "idle in transaction", query="SELECT\n 1")
    chain = (
        edge(4712, 4711, wait_s=8.2, target="row of accounts (id=42)"),
        edge(4713, 4712, wait_s=2.0, target="row of accounts (id=42)"),
        edge(4714, 4712, "soft", wait_s=1.0, target="table accounts"),
    )
    assert lock_tree.text(settle(None, snapshot(chain, (root,)))) == (
        """\
test_root blocks 3 tests for 8.2 s (row of accounts (id=42))

database test_app · PostgreSQL 18.1 · 4 sessions · 3 blocked

pid 4711  gw0 tests/test_a.py::test_root  idle in transaction for 2.0 s
│  blocks 3 (1 directly), longest wait 8.2 s
│  test_root (gw0, pid 4711) left a transaction open, idle for 2.0 s. test_4712 (gw4712, pid 4712)
│  has waited 8.2 s for row of accounts (id=42). An earlier statement of the same transaction took
│  that lock: the one shown changes and locks no rows by itself.
│  → Commit, roll back or close it in the fixture's clean-up. To unblock now, end its session
│  (SELECT pg_terminate_backend(4711)): a cancel has no effect on an idle session. (Practice: Clean
│  up after each test.)
│  last query: SELECT 1
└─ pid 4712  gw4712 tests/test_app.py::test_4712  waits 8.2 s for row of accounts (id=42), blocks 2
   ├─ pid 4713  gw4713 tests/test_app.py::test_4713  waits 2.0 s for row of accounts (id=42)
   └─ pid 4714  gw4714 tests/test_app.py::test_4714  queues 1.0 s for table accounts
"""
    )


def test_a_long_queue_is_cut_in_the_text_but_not_in_json() -> None:
    first = edge(2, 1, wait_s=9.0)
    queue = tuple(
        edge(pid, ahead, "soft", wait_s=100.0 - pid) for pid in range(3, 53) for ahead in range(2, pid)
    )
    shot = settle(None, snapshot((first, *queue)))
    lines = lock_tree.text(shot).splitlines()
    assert len([line for line in lines if "row of t (id=1)" in line and "─ pid" in line]) == 21
    assert lines[-1] == "   └─ … and 30 more for row of t (id=1), the longest for 1 min 17 s"
    assert len(json.loads(lock_json.document(shot))["edges"]) == 1 + 50 * 51 // 2
