"""Tips of the demo: what there is to look at now, and the keys for it. Pure."""

from __future__ import annotations

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.reports.render.detail_text import KeyName
from pgwatch_tests.reports.verdict.verdict import short_name, waited_for
from pgwatch_tests.text.numbers import plural

_NAME = 40


def tip(graph: LockGraph, leaks: LeakReport | None, keys: KeyName, open_tab: str = "locks") -> str:
    """`test_a holds row of users (id=1), which 2 sessions wait for: enter shows why, K ends it.`

    The key of the tab that is needed comes first, unless that is the `open_tab`: its command's id.
    """
    first = _way(keys, "locks", open_tab)
    shows, goes = keys("detail"), keys("next-deadlock")
    if graph.snapshot.deadlocks:
        names = " and ".join(short_name(graph, party, _NAME) for party in graph.snapshot.deadlocks[0][:2])
        does = f"{first}{goes} goes there, {shows} shows why"
        return f"{names} deadlock each other until the server ends one: {does}."
    if graph.root_blockers:
        root = graph.root_blockers[0]
        waiting = plural(graph.blocks(root), "session")
        verb = "waits" if graph.blocks(root) == 1 else "wait"
        session = graph.sessions.get(root)
        helps = (
            f"{keys('cancel')} cancels its statement"
            if session is not None and session.state == "active"
            else f"{keys('terminate')} ends it"
        )
        held = waited_for(graph, root) or "a lock"
        name = short_name(graph, root, _NAME)
        return f"{name} holds {held}, which {waiting} {verb} for: {first}{shows} shows why, {helps}."
    if leaks is not None and leaks.total:
        rows = plural(leaks.total, "row")
        shows = "the list says" if open_tab == "leaks" else f"{keys('leaks')} shows"
        previews = f"{_way(keys, 'sweeps', open_tab)}{keys('preview')}"
        left = f"{shows} which tests left them"
        return f"{rows} leaked so far: {left}, {previews} shows what a sweep would remove."
    begun = "The flaky suite has begun: soon a test blocks others."
    connected = "" if open_tab == "sessions" else f"{keys('sessions')} shows who is connected, "
    return f"{begun} {connected}{keys('help')} {'' if connected else 'shows '}all keys."


def _way(keys: KeyName, tab: str, open_tab: str) -> str:
    """`3 and then `: how to come to a tab; empty if it is open."""
    return "" if tab == open_tab else f"{keys(tab)} and then "
