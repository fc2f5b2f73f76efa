"""Two tests that contend are advised to take turns; those that do are told that nothing is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis, advice_afterwards
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.gate import judge
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, LockTag, Party, Session, Subject
from tests.locks.snapshots import edge, session, snapshot

ADVISORY = LockTag("advisory", 5)
TURNS = edge(2, 1, target="named lock mail", tag=ADVISORY, subject=Subject("advisory"))
SAME_KEY = edge(2, 1, target="unique key of users (email)", subject=Subject("unique_key", 5, (16400,)))


def found(one: Edge, *sessions: Session) -> Diagnosis:
    return diagnose(LockGraph(snapshot((one,), sessions)), Party(1))


def about(one: Edge, what: str) -> Edge:
    return replace(one, lock=replace(one.lock, object=what))


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (about(SAME_KEY, "users"), '"users"'),
        (about(SAME_KEY, "billing.invoices"), '"billing.invoices"'),
        (about(SAME_KEY, "users or accounts"), '"…"'),
        (replace(TURNS, lock=replace(TURNS.lock, target="advisory lock 7", object="advisory lock 7")), '"…"'),
        (
            replace(
                about(edge(2, 1, mode="AccessExclusiveLock", tag=LockTag("relation", 5, 16400)), "users"),
                subject=Subject("relation"),
            ),
            '"users"',
        ),
    ],
)
def test_two_tests_are_advised_to_take_turns(one: Edge, name: str) -> None:
    one = replace(one, lock=replace(one.lock, held_mode=None))
    told = found(one, session(2, query="TRUNCATE users"))
    # Before what would help right now, which reports leave out.
    assert f"If they must share it, mark both tests @pytest.mark.pgwatch_lock({name})." in advice_afterwards(
        told.advice
    )


def test_tests_of_other_runners_are_told_what_it_is() -> None:
    told = found(about(SAME_KEY, "users"), session(2, "vitest:1 a.test.ts > b"))
    assert 'If they must share it, take one named lock ("users") in both tests.' in told.advice


@pytest.mark.parametrize("name", ["psql", "pytest:gw1 tests/test_app.py::test_1"])
def test_whoever_isnt_another_test_isnt_advised_so(name: str) -> None:
    told = found(SAME_KEY, session(2, name))
    assert "pgwatch_lock" not in told.advice
    assert "named lock" not in told.advice


def test_a_row_is_to_be_ones_own() -> None:
    told = found(edge(2, 1, subject=Subject("row", 5, (16400,), 0, 1)))
    assert told.cause == "same_row"
    assert "pgwatch_lock" not in told.advice


def test_whoever_waits_for_its_turn_is_no_finding() -> None:
    graph = LockGraph(snapshot((TURNS,), (session(1, state="idle"),)))
    (root,) = judge(graph, 0.1)
    assert root.diagnosis.cause == "named_lock"
    assert root.diagnosis.explanation == (
        "test_1 (gw1, pid 1) holds the named lock mail (idle for 2.0 s); test_2 (gw2, pid 2) has waited "
        "1.0 s for its turn."
    )
    assert root.diagnosis.advice.startswith("Nothing is wrong: the tests take turns.")
    assert root.verdict == "shorter"
    assert root.new == ()


def test_a_holder_who_blocks_others_too_is_a_finding() -> None:
    graph = LockGraph(snapshot((TURNS, edge(3, 1))))
    (root,) = judge(graph, 0.1)
    assert root.diagnosis.cause != "named_lock"
    assert root.verdict == "finding"
