"""What is said of those behind it, before and after."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.locks.actions.action import aftermath, on_session, still_behind
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge
from pgwatch_tests.reports.locks.action_text import consequence
from tests.locks.snapshots import edge, session, snapshot

BEFORE = LockGraph(snapshot((edge(2, 1), edge(3, 1), edge(4, 3))))


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ((), "The 3 sessions it blocked can continue."),
        (
            (edge(4, 3),),
            "Of 3 sessions it blocked, 2 can continue; 1 still waits, behind test_3 (gw3, pid 3).",
        ),
        (
            (edge(2, 1), edge(3, 1), edge(4, 3)),
            "The 3 sessions it blocked still wait, behind it.",
        ),
        (
            (edge(2, 7), edge(3, 8), edge(4, 9)),
            "The 3 sessions it blocked still wait, behind test_7 (gw7, pid 7) and "
            "test_8 (gw8, pid 8) and 1 more.",
        ),
        # Deadlocked: nobody is at the root.
        (
            (edge(2, 3), edge(3, 2)),
            "Of 3 sessions it blocked, 1 can continue; 2 still wait, behind test_2 (gw2, pid 2) and "
            "test_3 (gw3, pid 3).",
        ),
        # A ghost isn't a wait.
        ((replace(edge(4, 3), confirmed=False),), "The 3 sessions it blocked can continue."),
    ],
)
def test_what_became_of_those_behind_it(after: tuple[Edge, ...], words: str) -> None:
    action = on_session(BEFORE, 1, "terminate")
    seen = LockGraph(snapshot(after))
    assert aftermath(action, seen) == words
    assert still_behind(action, seen) == ("behind it." in words)


def test_nothing_is_said_where_nobody_waited() -> None:
    action = on_session(BEFORE, 2, "terminate")
    assert aftermath(action, LockGraph(snapshot((edge(5, 6),)))) == ""
    assert consequence(BEFORE, action).startswith("Frees nobody")


def test_an_idle_session_has_no_statement_to_be_recognised_by() -> None:
    found = LockGraph(snapshot((), (session(1, state="idle in transaction"), session(2))))
    assert on_session(found, 1, "cancel").query_start is None
    assert on_session(found, 2, "cancel").query_start is not None


def test_what_nothing_identifies_is_refused() -> None:
    nameless = replace(session(1, hidden=True), backend_start=None, user_oid=None)
    with pytest.raises(RefusedError, match="nothing visible tells it from a later session"):
        on_session(LockGraph(snapshot((), (nameless,))), 1, "cancel")
    known = replace(nameless, user_oid=10)
    assert on_session(LockGraph(snapshot((), (known,))), 1, "cancel").user_oid == 10
