"""The demo's tips name no key of the tab that is open already."""

from __future__ import annotations

import pytest

from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.reports.verdict.demo_tip import tip
from tests.locks.snapshots import edge, session, snapshot
from tests.record.recordings import leak_report


def key(id_: str) -> str:
    return f"<{id_}>"


CALM = graph_of(settle(None, snapshot(sessions=(session(1),))))
BLOCKED = graph_of(settle(None, snapshot((edge(2, 1),), (session(1, state="idle in transaction"),))))


@pytest.mark.parametrize(
    ("open_tab", "said"),
    [
        ("locks", "<leaks> shows which tests left them, <sweeps> and then <preview> shows what"),
        ("leaks", "the list says which tests left them, <sweeps> and then <preview> shows what"),
        ("sweeps", "<leaks> shows which tests left them, <preview> shows what"),
    ],
)
def test_of_leaks(open_tab: str, said: str) -> None:
    assert said in tip(CALM, leak_report(), key, open_tab)


@pytest.mark.parametrize(
    ("open_tab", "said"),
    [
        ("locks", "a test blocks others. <sessions> shows who is connected, <help> all keys."),
        ("sessions", "a test blocks others. <help> shows all keys."),
    ],
)
def test_of_nothing(open_tab: str, said: str) -> None:
    assert said in tip(CALM, None, key, open_tab)


@pytest.mark.parametrize(
    ("open_tab", "said"), [("locks", "for: <detail>"), ("leaks", "for: <locks> and then")]
)
def test_of_waits(open_tab: str, said: str) -> None:
    assert said in tip(BLOCKED, None, key, open_tab)
