"""Last picture of a recording: what the sessions of its last poll did, for a suite that was killed. Pure."""

from __future__ import annotations

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party, Session
from pgwatch_tests.record.events import recorded_side
from pgwatch_tests.record.merging.merged import LastPicture, LastSession

MOST_SESSIONS = 100


def last_picture(snapshot: LockSnapshot) -> LastPicture:
    """The sessions of clients: those that waited or blocked first, then those at work, then idle ones.

    An idle one without a test tells nothing of a suite, and is left out.
    """
    graph = LockGraph(snapshot)
    waits: dict[Party, EdgeGroup] = {}
    for group in snapshot.shown_groups:
        known = waits.get(group.waiter)
        if known is None or (group.wait_s or 0.0) > (known.wait_s or 0.0):
            waits[group.waiter] = group
    shown = [
        one
        for one in snapshot.sessions
        if one.application_name != OWN_NAME
        and (Party(one.pid) in graph.nodes or (one.is_client and _tells(one)))
    ]
    shown.sort(key=lambda one: (_rank(one, graph), one.application_name, one.pid))
    return LastPicture(
        snapshot.sampled_at,
        tuple(_session(graph, Party(one.pid), waits.get(Party(one.pid))) for one in shown[:MOST_SESSIONS]),
        max(0, len(shown) - MOST_SESSIONS),
    )


def _tells(session: Session) -> bool:
    return session.state != "idle" or session.identity is not None


def _rank(session: Session, graph: LockGraph) -> int:
    party = Party(session.pid)
    if party in graph.groups:
        return 0
    if graph.blocks_directly(party):
        return 1
    return 3 if session.state == "idle" else 2


def _session(graph: LockGraph, party: Party, wait: EdgeGroup | None) -> LastSession:
    side = recorded_side(graph, party)
    if wait is None:
        return LastSession(side)
    blockers = tuple(recorded_side(graph, blocker).who for blocker in wait.blockers[:3])
    return LastSession(side, wait.lock.target or wait.lock.type, wait.wait_s, blockers)
