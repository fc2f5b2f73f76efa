"""All rules of diagnosis, whatever the snapshot: each root has a sentence and an advice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockTag, Subject
from tests.locks.snapshots import edge, session, snapshot

_SUBJECTS = st.sampled_from(["relation", "row", "unique_key", "transaction", "advisory", "object", "other"])
_TYPES = st.sampled_from(["relation", "tuple", "transactionid", "virtualxid", "advisory", "object"])
_STATES = st.sampled_from(["active", "idle in transaction", "idle", "starting", ""])
_QUERIES = st.sampled_from(
    ["TRUNCATE t", "", "DROP", "\x1b[31m", "create index concurrently x", "-- x\nSELECT"]
)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5), _SUBJECTS, _TYPES), min_size=1, max_size=8),
    st.lists(st.tuples(_STATES, _QUERIES, st.booleans()), min_size=5, max_size=5),
)
def test_every_root_has_a_sentence_and_an_advice(
    links: list[tuple[int, int, str, str]], about: list[tuple[str, str, bool]]
) -> None:
    edges = {
        (waiter, blocker): edge(waiter, blocker, subject=Subject(kind), tag=LockTag(type_))  # type: ignore[arg-type]  # drawn from the literals
        for waiter, blocker, kind, type_ in links
        if waiter != blocker
    }
    sessions = tuple(
        session(pid, state=state, query=query, hidden=hidden)
        for pid, (state, query, hidden) in enumerate(about, 1)
    )
    graph = LockGraph(settle(None, snapshot(tuple(edges.values()), sessions)))
    for tree in graph.trees:
        told = diagnose(graph, tree.node)
        assert told.explanation.endswith(".")
        assert told.advice.endswith(".")
        assert f"pid {tree.node.pid}" in told.explanation
