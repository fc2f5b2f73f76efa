"""Questions about several actions at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.actions.action import Action, How, action_on
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockTag, Party, PreparedTransaction
from pgwatch_tests.reports.locks.action_text import advice, advice_of_all, facts, question_of_all
from tests.locks.snapshots import edge, session, snapshot

PREPARED = tuple(PreparedTransaction(gid, 5, 10, "test_app", "app", 3.0) for gid in ("pay\x1b", "ship"))
GRAPH = LockGraph(
    replace(snapshot((), (session(1), session(2), session(3, state="idle"))), prepared=PREPARED)
)


def actions(*parties: int | str, how: How = "terminate") -> tuple[Action, ...]:
    return tuple(
        action_on(GRAPH, Party(0, one) if isinstance(one, str) else Party(one), how) for one in parties
    )


def test_one_question_about_all() -> None:
    assert question_of_all(actions(1)) == "End the session of pid 1?"
    assert question_of_all(actions(1, 2, 3)) == "End 3 sessions: pid 1, 2 and 3?"
    assert question_of_all(actions(1, 2, how="cancel")) == "Cancel the statements of 2 sessions: pid 1 and 2?"
    assert question_of_all(actions("pay\x1b", "ship")) == "Roll back 2 prepared transactions: pay␛ and ship?"


def test_sessions_and_prepared_transactions_together() -> None:
    assert question_of_all(actions(1, "ship")) == (
        "End the session of pid 1; roll back the prepared transaction ship?"
    )
    assert question_of_all(actions("ship", 1, "pay\x1b", 2)) == (
        "End 2 sessions: pid 1 and 2; roll back 2 prepared transactions: ship and pay␛?"
    )


def test_what_to_think_of_before() -> None:
    assert advice_of_all(GRAPH, actions(1, 2), "press K") == []
    assert advice_of_all(GRAPH, actions(1, 3, how="cancel"), "press K") == [
        "Cancel does nothing to idle sessions (1 of these): press K."
    ]
    [about_prepared] = advice_of_all(GRAPH, actions(3, "ship"), "press K")
    assert "COMMIT PREPARED" in about_prepared


@pytest.mark.parametrize(
    ("state", "how", "frees"),
    [
        ("idle in transaction", "cancel", "nobody"),
        ("idle in transaction", "terminate", "2 sessions at once"),
        ("active", "cancel", "2 sessions at once"),
    ],
)
def test_a_cancel_of_an_idle_session_is_not_said_to_free_anybody(state: str, how: How, frees: str) -> None:
    table = LockTag("relation", 5, 16400)
    graph = LockGraph(snapshot((edge(2, 1, tag=table), edge(3, 1, tag=table)), (session(1, state=state),)))
    assert dict(facts(graph, action_on(graph, Party(1), how)))["frees"] == frees


@pytest.mark.parametrize(("age_s", "is_told"), [(0.2, True), (2.0, False)])
def test_the_question_says_that_a_blocker_may_go_on_by_itself(age_s: float, is_told: bool) -> None:
    root = replace(session(1, state="idle in transaction"), state_age_s=age_s)
    graph = LockGraph(snapshot((edge(2, 1), edge(3, 2)), (root,)))
    just_begun = "has been idle for 0.2 s only, and may go on by itself: look again in some seconds."
    for pid, who in ((1, "It"), (2, "test_1 (gw1, pid 1)")):
        told = advice(graph, action_on(graph, Party(pid), "terminate"), "press K")
        assert (f"{who} {just_begun}" in told) == is_told
