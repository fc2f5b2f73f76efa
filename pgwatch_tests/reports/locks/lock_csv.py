"""The wait-for graph as CSV, one line per edge."""

from __future__ import annotations

from pgwatch_tests.locks.graph.lock_graph import LockGraph, running_test
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party
from pgwatch_tests.reports.render import csv_text
from pgwatch_tests.reports.render.csv_text import cell
from pgwatch_tests.text.plain_text import one_line

COLUMNS = (
    *("waiter_pid", "waiter_test", "waiter_application", "waiter_database", "waiter_user", "waiter_query"),
    *("blocker_pid", "blocker_gid", "blocker_test", "blocker_application", "blocker_database"),
    *("blocker_user", "blocker_state", "blocker_query"),
    *("kind", "lock_type", "mode", "held_mode", "target", "wait_s"),
)


def document(snapshot: LockSnapshot) -> str:
    """A header and one line per edge; empty cells for what is hidden or unknown. Waits are float seconds.

    Foreign text is shown as plain text; a cell that a spreadsheet would run has an apostrophe before it.
    """
    graph = LockGraph(snapshot)
    return csv_text.document(COLUMNS, (_line(edge, graph) for edge in snapshot.shown_edges))


def _line(edge: Edge, graph: LockGraph) -> tuple[str, ...]:
    blocker = graph.sessions.get(edge.blocker)
    waiter_test, waiter_application, waiter_database, waiter_user, waiter_query = _who(edge.waiter, graph)
    test, application, database, user, query = _who(edge.blocker, graph)
    state = (blocker.state or "") if blocker else "prepared"
    texts = (edge.kind, edge.lock.type, edge.lock.mode, edge.lock.held_mode or "", edge.lock.target)
    return (
        str(edge.waiter.pid),
        *map(cell, (waiter_test, waiter_application, waiter_database, waiter_user, waiter_query)),
        str(edge.blocker.pid),
        *map(cell, (edge.blocker.gid, test, application, database, user, state, query)),
        *map(cell, texts),
        "" if edge.wait_s is None else f"{edge.wait_s:.3f}",
    )


def _who(party: Party, graph: LockGraph) -> tuple[str, str, str, str, str]:
    """Test, application, database, user and query."""
    session = graph.sessions.get(party)
    if session is None:
        prepared = graph.prepared.get(party)
        return "", "", (prepared and prepared.database) or "", (prepared and prepared.user) or "", ""
    return (
        running_test(session) or "",
        session.application_name,
        session.database or "",
        session.user or "",
        one_line(session.query),
    )
