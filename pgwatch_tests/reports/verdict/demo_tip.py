"""Tips of the demo: what there is to look at now, and the keys for it. Pure."""

from __future__ import annotations

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.reports.verdict.verdict import short_name, waited_for
from pgwatch_tests.text.numbers import plural

_NAME = 40


def tip(graph: LockGraph, leaks: LeakReport | None, *, in_locks: bool = True) -> str:
    """`test_a holds row of users (id=1), which 2 sessions wait for: enter shows why, K ends it.`

    Unless the Locks tab is open (`in_locks`), its key comes first.
    """
    first = "" if in_locks else "1 and then "
    if graph.snapshot.deadlocks:
        names = " and ".join(short_name(graph, party, _NAME) for party in graph.snapshot.deadlocks[0][:2])
        return f"{names} deadlock each other until the server ends one: {first}D goes there, enter shows why."
    if graph.root_blockers:
        root = graph.root_blockers[0]
        waiting = plural(graph.blocks(root), "session")
        verb = "waits" if graph.blocks(root) == 1 else "wait"
        session = graph.sessions.get(root)
        helps = (
            "C cancels its statement" if session is not None and session.state == "active" else "K ends it"
        )
        held = waited_for(graph, root) or "a lock"
        name = short_name(graph, root, _NAME)
        return f"{name} holds {held}, which {waiting} {verb} for: {first}enter shows why, {helps}."
    if leaks is not None and leaks.total:
        rows = plural(leaks.total, "row")
        return f"{rows} leaked so far: 3 shows which tests left them, 5 and then p what a sweep would remove."
    return "The flaky suite has begun: soon a test blocks others. 2 shows who is connected, ? all keys."
