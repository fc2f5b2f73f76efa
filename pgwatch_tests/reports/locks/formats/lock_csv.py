"""The wait-for graph as CSV, one line per edge."""

from __future__ import annotations

from pgwatch_tests.locks.graph.lock_graph import LockGraph, running_test
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party
from pgwatch_tests.reports.locks.formats.told_blockers import told_edges
from pgwatch_tests.reports.render import csv_text
from pgwatch_tests.text.plain_text import one_line

COLUMNS = (
    *("waiter_pid", "waiter_test", "waiter_application", "waiter_database", "waiter_user", "waiter_query"),
    *("blocker_pid", "blocker_gid", "blocker_test", "blocker_application", "blocker_database"),
    *("blocker_user", "blocker_state", "blocker_query"),
    *("kind", "lock_type", "mode", "held_mode", "target", "wait_s", "more_ahead"),
)


def document(snapshot: LockSnapshot) -> str:
    """A header and one line per edge; empty cells for what is hidden or unknown. Waits are float seconds.

    Of a long queue the next ahead are told, and how many `more_ahead` there are.

    Foreign text is shown as plain text; a cell that a spreadsheet would run has an apostrophe before it.
    """
    graph, edges = LockGraph(snapshot), told_edges(snapshot.shown_groups)
    return csv_text.document(COLUMNS, (_line(edge, more, graph) for edge, more in edges))


def _line(edge: Edge, more_ahead: int, graph: LockGraph) -> dict[str, str]:
    blocker = graph.sessions.get(edge.blocker)
    return {
        **_party("waiter", edge.waiter, graph),
        **_party("blocker", edge.blocker, graph),
        "blocker_gid": edge.blocker.gid,
        "blocker_state": (blocker.state or "") if blocker else "prepared",
        "kind": edge.kind,
        "lock_type": edge.lock.type,
        "mode": edge.lock.mode,
        "held_mode": edge.lock.held_mode or "",
        "target": edge.lock.target,
        "wait_s": csv_text.seconds(edge.wait_s),
        "more_ahead": str(more_ahead),
    }


def _party(role: str, party: Party, graph: LockGraph) -> dict[str, str]:
    session, prepared = graph.sessions.get(party), graph.prepared.get(party)
    owner = session or prepared
    return {
        f"{role}_pid": str(party.pid),
        f"{role}_test": (session and running_test(session)) or "",
        f"{role}_application": session.application_name if session else "",
        f"{role}_database": (owner and owner.database) or "",
        f"{role}_user": (owner and owner.user) or "",
        f"{role}_query": one_line(session.query) if session else "",
    }
