"""The statement of an advice: the one that it names first, and only of the sessions it is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis, advice_afterwards, advice_now
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.diagnosis.unblocking import Unblocking, unblocking
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockTag, Party, PreparedTransaction
from tests.locks.snapshots import edge, session, snapshot

TABLE = LockTag("relation", 5, 16400)


def graph(state: str = "idle in transaction", name: str = "") -> LockGraph:
    waits = edge(2, 1, tag=TABLE), edge(3, 1, tag=TABLE)
    return LockGraph(settle(None, snapshot(waits, (session(1, name, state),))))


@pytest.mark.parametrize(("state", "how"), [("idle in transaction", "terminate"), ("active", "cancel")])
def test_an_idle_session_is_ended_a_statement_cancelled(state: str, how: str) -> None:
    shown = graph(state)
    found = unblocking(shown, Party(1), diagnose(shown, Party(1)))
    assert found == Unblocking(f"SELECT pg_{how}_backend(1)", found.how if found else "cancel", Party(1), 2)
    assert found is not None
    assert found.how == how


def test_a_prepared_transaction_is_rolled_back_in_its_database() -> None:
    shown = settle(None, snapshot((edge(2, 0, gid="it's", tag=TABLE),)))
    shown = replace(shown, prepared=(PreparedTransaction("it's", 5, 10, "test_b", "app", 12.0),))
    found = unblocking(LockGraph(shown), Party(0, "it's"), diagnose(LockGraph(shown), Party(0, "it's")))
    assert found == Unblocking("ROLLBACK PREPARED 'it''s'", "roll_back", Party(0, "it's"), 1, "test_b")


def test_a_name_in_an_advice_is_no_statement() -> None:
    advice = Diagnosis("x", "", "Ask SELECT pg_terminate_backend(99) why. To unblock now, wait.")
    assert unblocking(graph(), Party(1), advice) is None
    both = Diagnosis("x", "", "Cancel it (SELECT pg_cancel_backend(2)), or SELECT pg_terminate_backend(1).")
    found = unblocking(graph(), Party(1), both)
    assert found is not None
    assert (found.sql, found.party) == ("SELECT pg_cancel_backend(2)", Party(2))


def test_an_advice_in_two_parts() -> None:
    advice = "Commit it. To unblock now, end its session (SELECT pg_terminate_backend(1))."
    assert advice_afterwards(advice) == "Commit it."
    assert advice_now(advice) == "End its session (SELECT pg_terminate_backend(1))."
    assert advice_now("Commit it.") == ""
