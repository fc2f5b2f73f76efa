"""Questions about several actions at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pgwatch_tests.locks.actions.action import Action, How, action_on
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockTag, Party, PreparedTransaction
from pgwatch_tests.reports.locks.action_text import (
    advice,
    advice_of_all,
    brief_consequence,
    brief_question,
    consequence,
    cost,
    facts,
    question_about,
    question_of_all,
    under_way,
)
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
    assert question_of_all(actions(1)) == "End the session of test_1 (gw1, pid 1)?"
    assert question_of_all(actions(1, 2, 3)) == "End 3 sessions: pid 1, 2 and 3?"
    assert question_of_all(actions(1, 2, how="cancel")) == "Cancel the statements of 2 sessions: pid 1 and 2?"
    assert question_of_all(actions("pay\x1b", "ship")) == "Roll back 2 prepared transactions: pay␛ and ship?"


def test_sessions_and_prepared_transactions_together() -> None:
    assert question_of_all(actions(1, "ship")) == (
        "End the session of test_1 (gw1, pid 1); roll back the prepared transaction ship?"
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
        ("idle in transaction", "cancel", "Frees nobody."),
        ("idle in transaction", "terminate", "Frees 2 sessions at once. Then nothing is blocked."),
        ("active", "cancel", "Frees 2 sessions at once. Then nothing is blocked."),
    ],
)
def test_a_cancel_of_an_idle_session_is_not_said_to_free_anybody(state: str, how: How, frees: str) -> None:
    table = LockTag("relation", 5, 16400)
    graph = LockGraph(snapshot((edge(2, 1, tag=table), edge(3, 1, tag=table)), (session(1, state=state),)))
    assert consequence(graph, action_on(graph, Party(1), how), "A") == frees


@pytest.mark.parametrize(("age_s", "is_told"), [(0.2, True), (2.0, False)])
def test_the_question_says_that_a_blocker_may_go_on_by_itself(age_s: float, is_told: bool) -> None:
    root = replace(session(1, state="idle in transaction"), state_age_s=age_s)
    graph = LockGraph(snapshot((edge(2, 1), edge(3, 2)), (root,)))
    just_begun = "had been idle for 0.2 s only, and may go on by itself."
    for pid, who in ((1, "it"), (2, "test_1 (gw1, pid 1)")):
        told = advice(graph, action_on(graph, Party(pid), "terminate"), "press K")
        assert (f"When you asked, {who} {just_begun}" in told) == is_told


TABLE, ROW = LockTag("relation", 5, 16400), LockTag("transactionid", transactionid=700)


@pytest.mark.parametrize("how", ["cancel", "terminate"])
@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("autovacuum: VACUUM public.t (to prevent wraparound)", "it prevents transaction id wraparound"),
        ("autovacuum: VACUUM ANALYZE public.t", "it is autovacuum"),
    ],
)
def test_an_autovacuum_comes_back(query: str, why: str, how: How) -> None:
    worker = replace(session(1, "autovacuum", query=query), backend_type="autovacuum worker")
    graph = LockGraph(snapshot((edge(2, 1, wait_s=90.0),), (worker,)))
    told = advice(graph, action_on(graph, Party(1), how), "press K")
    assert f"The server will start it again for this table: {why}." in told
    assert question_about(graph, action_on(graph, Party(1), "cancel")).startswith("Cancel the VACUUM of ")


def test_a_question_says_what_happens_whom_it_frees_and_what_comes_next() -> None:
    root = session(1, state="idle in transaction")
    change = session(5, "migrations", query="ALTER TABLE orders ADD COLUMN note text")
    edges = (edge(2, 1, tag=ROW), edge(3, 2, tag=ROW), edge(5, 1, tag=TABLE), edge(5, 2, tag=TABLE))
    queue = tuple(edge(pid, 5, kind="soft", tag=TABLE) for pid in (6, 7))
    graph = LockGraph(snapshot((*edges, *queue), (root, change)))
    cancel = action_on(graph, Party(5), "cancel")
    assert question_about(graph, cancel) == "Cancel the ALTER TABLE of migrations (pid 5)?"
    said = consequence(graph, cancel, "A")
    assert said == "Frees 2 sessions at once. Then test_1 (gw1) still blocks 2: A again."
    assert len(f"{question_about(graph, cancel)} {said}".split()) <= 25
    names = [name for name, _ in facts(graph, cancel)]
    assert names == ["application", "pid", "state", "query", "wait"]
    assert brief_question(graph, cancel) == "Cancel the ALTER TABLE of migrations?"
    assert brief_consequence(graph, cancel) == "Frees 2 of 5. ALTER TABLE fails."
    end = action_on(graph, Party(1), "terminate")
    assert question_about(graph, end) == "End the session of test_1 (gw1, pid 1)?"
    assert consequence(graph, end, "X") == (
        "Frees 1 of 5 sessions at once. Then 4 wait for test_2 (gw2): X again if it stays."
    )
    assert consequence(graph, end) == "Frees 1 of 5 sessions at once. Then 4 wait for test_2 (gw2)."
    assert brief_question(graph, end) == "End the session of test_1 (gw1)?"
    assert brief_consequence(graph, end) == "Frees 1 of 5. Its transaction is lost."
    assert under_way(graph, cancel) == "Cancelling the ALTER TABLE of migrations …"
    assert under_way(graph, end) == "Ending the session of test_1 (gw1) …"


@pytest.mark.parametrize(("waiters", "frees"), [(1, "the only one that waits"), (2, "both"), (3, "all 3")])
def test_all_that_wait_are_said_to_be_freed_by_their_number(waiters: int, frees: str) -> None:
    graph = LockGraph(snapshot(tuple(edge(pid, 1, tag=TABLE) for pid in range(2, 2 + waiters))))
    assert brief_consequence(graph, action_on(graph, Party(1), "terminate")).startswith(f"Frees {frees}.")


@pytest.mark.parametrize(
    ("name", "other", "database", "who"),
    [
        ("pytest:gw1 t.py::test_1", "pytest:gw2 t.py::test_1", "test_app", "test_1 (gw1)"),
        ("pytest:gw1 t.py::test_1", "pytest:gw1 t.py::test_1", "test_app", "test_1 (gw1, pid 1)"),
        ("pytest:gw1 t.py::test_1", "", "other", "test_1 (gw1, database other)"),
        ("psql", "psql", "test_app", "psql (pid 1)"),
        ("psql", "", "test_app", "psql"),
        ("psql", "", "other", "psql (database other)"),
        ("psql (pid 1)", "", "test_app", "psql (pid 1)"),
    ],
)
def test_a_session_is_named_without_its_pid_where_its_name_tells_it_apart(
    name: str, other: str, database: str, who: str
) -> None:
    sessions = (replace(session(1, name), database=database), session(2, other))
    graph = LockGraph(snapshot((edge(2, 1, tag=TABLE),), sessions))
    assert brief_question(graph, action_on(graph, Party(1), "terminate")) == f"End the session of {who}?"


@pytest.mark.parametrize(
    ("changes", "how", "lost"),
    [
        ({"state": "idle in transaction"}, "terminate", "Its transaction is lost."),
        ({"state": "active"}, "terminate", "Its transaction is lost."),
        ({"state": "idle", "xact_age_s": None}, "terminate", "Its connection is lost."),
        ({"hidden": True, "state": None}, "terminate", "What it has not committed is lost."),
        ({"state": "active"}, "cancel", "UPDATE fails."),
        ({"state": "active", "query": ""}, "cancel", "The statement fails."),
        ({"state": "idle in transaction"}, "cancel", ""),
    ],
)
def test_what_an_action_costs(changes: dict[str, Any], how: How, lost: str) -> None:
    graph = LockGraph(snapshot((edge(2, 1),), (replace(session(1), **changes),)))
    assert cost(graph, action_on(graph, Party(1), how)) == lost


def test_of_a_session_that_blocks_nobody_the_question_says_so() -> None:
    graph = LockGraph(snapshot((edge(2, 1, tag=ROW), edge(4, 3, tag=ROW)), (session(9),)))
    for pid, said in (
        (9, "Nobody waits for it."),
        (2, "Frees nobody: it waits for test_1 (gw1) itself."),
        (1, "Frees 1 session at once. Then test_3 (gw3) blocks 1: A again."),
    ):
        assert consequence(graph, action_on(graph, Party(pid), "terminate"), "A") == said


def test_hostile_names_are_plain_in_a_question() -> None:
    graph = LockGraph(snapshot((edge(2, 1, tag=ROW),), (session(1, "a\x1b[31m (pid 7)", query="\x1b x"),)))
    cancel = action_on(graph, Party(1), "cancel")
    assert question_about(graph, cancel) == "Cancel the statement of a␛[31m (pid 7) (pid 1)?"


def test_who_has_locked_a_row_that_another_is_waited_for_frees_nobody_yet() -> None:
    first = edge(2, 1, tag=LockTag("transactionid", transactionid=700))
    shared = replace(first, lock=replace(first.lock, also_held_by=(Party(3),)))
    graph = LockGraph(snapshot((shared,), (session(3),)))
    for pid, said in (
        (1, "Frees nobody at once. Then test_3 (gw3) blocks 1: A again."),
        (3, "Frees nobody yet: test_1 (gw1) has locked the same row."),
    ):
        assert consequence(graph, action_on(graph, Party(pid), "terminate"), "A") == said
    brief = brief_consequence(graph, action_on(graph, Party(1), "terminate"))
    assert brief == "Frees nobody yet: then test_3 (gw3) blocks 1. Its transaction is lost."
