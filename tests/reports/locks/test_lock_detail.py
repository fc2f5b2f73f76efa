"""The detail of a row of the lock tree: where keys act, where none does, and where it would be refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, LockTag, Party, PreparedTransaction
from pgwatch_tests.reports.locks.lock_detail import lock_detail
from pgwatch_tests.reports.render.detail_text import labelled
from pgwatch_tests.text.toned_text import text_of
from tests.locks.snapshots import edge, session, snapshot

TABLE = LockTag("relation", 5, 16400)
PREPARED = replace(
    settle(None, snapshot((edge(2, 0, tag=TABLE, gid="pay"),))),
    prepared=(PreparedTransaction("pay", 5, 10, "test_app", "app", 12.0),),
)
IDLE = settle(None, snapshot((edge(2, 1, tag=TABLE),), (session(1, state="idle in transaction"),)))


@pytest.mark.parametrize(
    ("shown", "root", "now"),
    [
        (PREPARED, Party(0, "pay"), "Its rollback frees 1 session at once · y copies the SQL"),
        (IDLE, Party(1), "an idle session.  That frees 1 session at once · y copies the SQL"),
    ],
    ids=["prepared", "idle"],
)
def test_what_frees_the_waiters_where_no_key_acts(shown: LockSnapshot, root: Party, now: str) -> None:
    assert said(shown, root)["Now"].endswith(now)


def test_where_the_server_would_refuse_it_no_key_is_offered() -> None:
    texts = said(IDLE, Party(1), acts=True, refusal="needs a GRANT")
    assert "A does it, frees 1 session at once · y copies the SQL" in said(IDLE, Party(1), acts=True)["Now"]
    assert "A does it" not in texts["Now"]
    assert texts["But"] == "needs a GRANT"


def test_the_locks_come_before_the_statement() -> None:
    graph = LockGraph(IDLE)
    detail = lock_detail(
        graph, Party(1), Party(1), diagnose(graph, Party(1)), key, holds=labelled("Holds", "x")
    )
    assert [one.label for one in detail.texts][-2:] == ["Holds", "Last"]


def key(id_: str) -> str:
    return {"copy": "y", "follow-advice": "A"}[id_]


def said(shown: LockSnapshot, root: Party, *, acts: bool = False, refusal: str = "") -> dict[str, str]:
    """The texts of a root's detail by their labels."""
    graph = LockGraph(shown)
    found = lock_detail(graph, root, root, diagnose(graph, root), key, acts=acts, refusal=refusal)
    return {one.label: text_of(one.lines[0]) for one in found.texts}


def test_two_steps_are_told_in_order_once_and_without_the_sql_that_a_key_copies() -> None:
    row = LockTag("transactionid", transactionid=700)
    change = session(5, "migrations", query="ALTER TABLE t ADD n int")
    root = session(1, state="idle in transaction")
    edges = (edge(2, 1, tag=row), edge(3, 2, tag=row), edge(5, 1, mode="AccessExclusiveLock", tag=TABLE))
    queue = tuple(edge(pid, 5, kind="soft", tag=TABLE) for pid in (6, 7, 8))
    texts = said(snapshot((*edges, *queue), (root, change)), Party(1), acts=True)
    assert texts["Why"].startswith(
        "It left a transaction open, idle for 2.0 s. test_2 (gw2, pid 2) has waited"
    )
    assert texts["Now"] == (
        "First cancel the ALTER TABLE: it fails, 3 go on at once. "
        "Then end the blocker's session: 1 of the other 2 goes on."
        "  A asks for each · y copies the first one's SQL"
    )
