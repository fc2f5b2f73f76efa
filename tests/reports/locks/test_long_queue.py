"""A queue of thousands in the documents and in words: no two million edges, and nothing lost."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest

from pgwatch_tests.locks.actions.action import on_session
from pgwatch_tests.locks.contention.contention import ContentionMeter
from pgwatch_tests.locks.contention.last_troubles import LastTroubles
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.graph.wait_graph import WaitForGraph
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.locks.watch.journal_entries import JournalEntries
from pgwatch_tests.record.last_picture import last_picture
from pgwatch_tests.record.recording.segments import SegmentWriter
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.locks.action_text import freed_at_once
from pgwatch_tests.reports.locks.folded_tree import Queue, folded_rows
from pgwatch_tests.reports.locks.formats import lock_csv, lock_github, lock_json, lock_junit, lock_markdown
from pgwatch_tests.reports.sessions import session_json
from pgwatch_tests.reports.sessions.session_rows import session_rows
from pgwatch_tests.reports.verdict.verdict import Facts, clauses
from pgwatch_tests.tui.answers.latest_answers import fingerprint
from tests.locks.long_queue import HOLDER, PIDS, WAITERS, count_steps, long_queue


def test_the_edges_of_a_document_lead_to_all_blockers() -> None:
    shown = long_queue()
    edges = json.loads(lock_json.document(shown))["edges"]
    assert len(edges) < 14 * WAITERS
    blockers: dict[int, set[int]] = {}
    for one in edges:
        blockers.setdefault(one["waiter_pid"], set()).add(one["blocker_pid"])
    told, graph = WaitForGraph(blockers), LockGraph(shown)
    for pid in (HOLDER, PIDS[0], PIDS[1_000], PIDS[-1]):
        assert told.blocked_by(pid) == {party.pid for party in graph.blocked_by(Party(pid))}
    last = [one for one in edges if one["waiter_pid"] == PIDS[-1] and one["kind"] == "soft"]
    assert len(last) + last[0]["more_ahead"] == WAITERS - 1
    lines = list(csv.DictReader(io.StringIO(lock_csv.document(shown))))
    assert [(line["waiter_pid"], line["blocker_pid"], line["more_ahead"]) for line in lines] == [
        (str(one["waiter_pid"]), str(one["blocker_pid"]), str(one["more_ahead"])) for one in edges
    ]


def test_the_sessions_of_a_document() -> None:
    shown = long_queue()
    [last] = [
        one
        for one in json.loads(session_json.document(shown, session_rows(shown, "pid")))["sessions"]
        if one["pid"] == PIDS[-1]
    ]
    assert last["blocked_by"] == [HOLDER, *PIDS[-11:-1]]
    assert len(last["blocked_by"]) + last["more_ahead"] == WAITERS


def test_a_long_queue_is_one_line_of_the_tree_and_few_of_the_text() -> None:
    graph = LockGraph(long_queue())
    rows = folded_rows(graph)
    assert len(rows) < 10
    folded = rows[-1].shown
    assert isinstance(folded, Queue)
    assert folded.waiting == WAITERS - 3
    assert len(lock_tree.text(graph.snapshot).splitlines()) < 50
    facts = lock_tree.lock_facts(graph, Party(PIDS[-1]))
    assert facts[-1] == "… and behind 1,994 more"


def _measured(first: LockSnapshot, second: LockSnapshot) -> None:
    meter = ContentionMeter()
    meter.add(first)
    meter.add(second)
    assert meter.result() is not None


def _journaled(first: LockSnapshot, second: LockSnapshot) -> None:
    entries = JournalEntries()
    for one in (first, second):
        assert list(entries.of(one, one.sampled_at.timestamp()))


def _recorded(first: LockSnapshot, second: LockSnapshot) -> None:
    writer = SegmentWriter()
    for one in (first, second):
        writer.add(one)
    assert writer.take() is not None


def _acted_on(first: LockSnapshot, second: LockSnapshot) -> None:
    graph = LockGraph(first)
    for pid in (HOLDER, *PIDS[:3], PIDS[-1]):
        assert len(on_session(graph, pid, "terminate").waiters) == graph.blocks(Party(pid))
        assert freed_at_once(graph, Party(pid))


def _opened(first: LockSnapshot, second: LockSnapshot) -> None:
    assert len(folded_rows(LockGraph(first), all_open=True)) > WAITERS


USES: dict[str, Callable[[LockSnapshot, LockSnapshot], object]] = {
    "settle": settle,
    "troubles": lambda first, second: LastTroubles().add(LockGraph(second)),
    "fingerprint": lambda first, second: fingerprint(first) == fingerprint(second),
    "verdict": lambda first, second: clauses(LockGraph(second), Facts()),
    "last picture": lambda first, second: last_picture(second),
    "text": lambda first, second: lock_tree.text(second),
    "JSON": lambda first, second: lock_json.document(second),
    "CSV": lambda first, second: lock_csv.document(second),
    "Markdown": lambda first, second: lock_markdown.document(second, 1.0),
    "annotations": lambda first, second: lock_github.document(second, 1.0),
    "JUnit": lambda first, second: lock_junit.document(second, 1.0),
    "sessions": lambda first, second: session_json.document(second, session_rows(second, "pid")),
    "contention": _measured,
    "journal": _journaled,
    "recording": _recorded,
    "actions": _acted_on,
    "open tree": _opened,
}


@pytest.mark.parametrize("use", USES)
def test_nothing_goes_through_the_queue_for_each_who_stands_in_it(
    use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = settle(None, long_queue())
    second = settle(first, long_queue(0.25))
    steps = count_steps(monkeypatch)
    USES[use](first, second)
    assert steps.are_few, f"{steps.number:,} steps through a queue of {WAITERS:,}"
