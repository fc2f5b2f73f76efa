"""A queue of thousands in the documents and in words: no two million edges, and nothing lost."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.wait_graph import WaitForGraph
from pgwatch_tests.locks.lock_queue import LockQueue
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.folded_tree import Queue, folded_rows
from pgwatch_tests.reports.locks.formats import lock_csv, lock_json
from pgwatch_tests.reports.sessions import session_json
from pgwatch_tests.reports.sessions.session_rows import session_rows
from tests.locks.snapshots import edge, snapshot

WAITERS = 2_000
PIDS = range(100, 100 + WAITERS)


def queued() -> LockSnapshot:
    """All wait for one row: the first for the holder 1, the others behind it as well."""
    queue = LockQueue([Party(pid) for pid in PIDS])
    bare = snapshot(tuple(edge(pid, 1) for pid in PIDS))
    behind = [
        replace(group, kind="soft", blockers=queue.first(place))
        for place, group in enumerate(bare.groups)
        if place
    ]
    return replace(bare, groups=(*bare.groups, *behind))


def test_the_edges_of_a_document_lead_to_all_blockers() -> None:
    shown = queued()
    edges = json.loads(lock_json.document(shown))["edges"]
    assert len(edges) < 14 * WAITERS
    blockers: dict[int, set[int]] = {}
    for one in edges:
        blockers.setdefault(one["waiter_pid"], set()).add(one["blocker_pid"])
    told, graph = WaitForGraph(blockers), LockGraph(shown)
    for pid in (1, PIDS[0], PIDS[1_000], PIDS[-1]):
        assert told.blocked_by(pid) == {party.pid for party in graph.blocked_by(Party(pid))}
    last = [one for one in edges if one["waiter_pid"] == PIDS[-1] and one["kind"] == "soft"]
    assert len(last) + last[0]["more_ahead"] == WAITERS - 1
    [lines] = [list(csv.DictReader(io.StringIO(lock_csv.document(shown))))]
    assert [(line["waiter_pid"], line["blocker_pid"], line["more_ahead"]) for line in lines] == [
        (str(one["waiter_pid"]), str(one["blocker_pid"]), str(one["more_ahead"])) for one in edges
    ]


def test_the_sessions_of_a_document() -> None:
    shown = queued()
    [last] = [
        one
        for one in json.loads(session_json.document(shown, session_rows(shown, "pid")))["sessions"]
        if one["pid"] == PIDS[-1]
    ]
    assert last["blocked_by"] == [1, *PIDS[-11:-1]]
    assert len(last["blocked_by"]) + last["more_ahead"] == WAITERS


def test_a_long_queue_is_one_line_of_the_tree_and_few_of_the_text() -> None:
    graph = LockGraph(queued())
    rows = folded_rows(graph)
    assert len(rows) < 10
    folded = rows[-1].shown
    assert isinstance(folded, Queue)
    assert folded.waiting == WAITERS - 3
    assert len(lock_tree.text(graph.snapshot).splitlines()) < 50
    facts = lock_tree.lock_facts(graph, Party(PIDS[-1]))
    assert facts[-1] == "… and behind 1,979 more"
