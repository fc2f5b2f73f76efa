"""What is said of a deadlock: every step, and what prevents it."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockTag, Party, Subject
from tests.locks.diagnosis.test_rules import alone, queued
from tests.locks.snapshots import edge, snapshot


@pytest.mark.parametrize(
    ("types", "advice"),
    [
        (("tuple", "transactionid"), "lock rows in the same order"),
        (("relation", "relation"), "lock tables in the same order"),
        (("advisory", "advisory"), "take advisory locks in the same order"),
        (("relation", "advisory"), "take these locks in the same order"),
    ],
)
def test_a_deadlock_s_advice_is_about_what_is_waited_for(types: tuple[str, str], advice: str) -> None:
    rows = [Subject("row", 5, (16400,), 0, offset) for offset in (1, 2)]
    waits = (
        edge(1, 2, tag=LockTag(types[0]), subject=rows[0]),
        edge(2, 1, tag=LockTag(types[1]), subject=rows[1]),
    )
    shot = snapshot(waits)
    told = diagnose(LockGraph(settle(settle(None, shot), shot)), Party(1))
    assert advice in told.advice
    assert ("rows" in told.advice) is ("tuple" in types)


def test_a_deadlock_names_every_step() -> None:
    first = snapshot((edge(1, 2, target="row of t (id=2)"), edge(2, 1, target="row of t (id=1)")))
    once = settle(None, first)
    assert diagnose(LockGraph(once), Party(1)).explanation.startswith("Probably a deadlock: ")
    told = diagnose(LockGraph(settle(once, first)), Party(1))
    assert told.cause == "deadlock"
    assert told.explanation == (
        "Deadlock: test_1 (gw1, pid 1) has waited 1.0 s for row of t (id=2) behind test_2 (gw2, pid 2); "
        "test_2 (gw2, pid 2) has waited 1.0 s for row of t (id=1) behind test_1 (gw1, pid 1)."
    )


def test_a_circle_through_a_queue_may_be_mended() -> None:
    shot = snapshot((alone(2, 1), queued(3, 2), edge(1, 3)))
    told = diagnose(LockGraph(settle(settle(None, shot), shot)), Party(1))
    assert told.cause == "deadlock"
    assert "lets one of them pass in the queue, or ends one" in told.advice
