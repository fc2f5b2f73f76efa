"""A root blocker that has just come to its state may go on by itself: the advice says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgwatch_tests.locks.diagnosis.evidence import advice_afterwards
from tests.locks.diagnosis.test_rules import found
from tests.locks.snapshots import edge, session


@pytest.mark.parametrize(
    ("state", "age_s", "words"),
    [
        ("idle in transaction", 0.2, "it has been idle for 0.2 s only, and may go on by itself."),
        ("active", 0.2, "it has been running a statement for 0.2 s only, and may go on by itself."),
        ("idle in transaction", 2.0, ""),
        ("active", 2.0, ""),
        ("idle in transaction", None, ""),
    ],
)
def test_a_root_that_has_just_come_to_its_state_may_go_on_by_itself(
    state: str, age_s: float | None, words: str
) -> None:
    root = replace(session(1, state=state), state_age_s=age_s, query_age_s=age_s)
    told = found(edge(2, 1), sessions=(root,))
    marker = "To unblock now, wait a moment first: "
    assert told.advice.partition(marker)[2].startswith(words)
    assert (marker in told.advice) == bool(words)
    # The statement that helps then is still told, and afterwards nothing is left of what was for now.
    assert "(SELECT pg_" in told.advice
    assert "0.2 s" not in advice_afterwards(told.advice)


def test_a_test_that_waits_for_itself_never_goes_on() -> None:
    root = replace(session(1, "pytest:gw0 tests/test_a.py::test_a", "idle in transaction"), state_age_s=0.2)
    told = found(edge(2, 1), sessions=(root, session(2, root.application_name)))
    assert told.cause == "waits_for_itself"
    assert "look again" not in told.advice
