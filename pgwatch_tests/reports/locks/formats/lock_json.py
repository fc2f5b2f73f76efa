"""The `locks` document of the JSON contract."""

from __future__ import annotations

import json

from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.gate import AcceptanceUse
from pgwatch_tests.locks.graph.lock_graph import LockGraph, running_test
from pgwatch_tests.locks.model import Edge, LockSnapshot, Party, Session
from pgwatch_tests.locks.snapshot.connection_usage import connection_groups
from pgwatch_tests.reports.locks.formats import lock_accepted
from pgwatch_tests.reports.locks.formats.told_blockers import told_edges
from pgwatch_tests.reports.verdict import capacity_use
from pgwatch_tests.text.times import iso_time

SCHEMA = "pgwatch-tests.locks/1"


def document(snapshot: LockSnapshot, accepted: AcceptanceUse | None = None) -> str:
    """The document, indented. `sessions` are those that wait or block; text is as it came, ASCII-escaped."""
    graph, capacity = LockGraph(snapshot), snapshot.capacity
    groups = connection_groups(snapshot.sessions)
    involved = graph.nodes
    content = {
        "schema": SCHEMA,
        "sampled_at": iso_time(snapshot.sampled_at),
        "server_version": snapshot.server_version,
        "database": snapshot.database,
        "pooler": snapshot.pooled,
        "blocked": snapshot.blocked,
        "hidden_sessions": snapshot.hidden_sessions,
        "connections": capacity and capacity_use.connection_fields(capacity, groups),
        "lock_table": capacity and capacity_use.lock_table_fields(capacity),
        "sessions": [
            session_fields(session, graph) for session in snapshot.sessions if Party(session.pid) in involved
        ],
        "edges": [_edge(edge, more) for edge, more in told_edges(snapshot.shown_groups)],
        "roots": [_root(root, graph) for root in graph.root_blockers],
        "accepted": lock_accepted.for_json(accepted),
        "deadlocks": [[party.pid for party in cycle] for cycle in snapshot.deadlocks],
    }
    return json.dumps(content, indent=2, allow_nan=False)


def session_fields(session: Session, graph: LockGraph) -> dict[str, object]:
    """A session as the documents have it; `test` is None if none is told, `query` if it is hidden."""
    return {
        "pid": session.pid,
        "backend_start": session.backend_start and iso_time(session.backend_start),
        "backend_type": session.backend_type,
        "database": session.database,
        "user": session.user,
        "application_name": session.application_name,
        "test": running_test(session),
        "test_hash": session.identity and (session.identity.digest or digest(session.identity.test)),
        "client": session.client,
        "state": session.state,
        "wait_event_type": session.wait_event_type,
        "wait_event": session.wait_event,
        "xact_age_s": session.xact_age_s,
        "state_age_s": session.state_age_s,
        "wait_s": graph.wait_s(Party(session.pid)),
        "query": None if session.hidden else session.query,
    }


def _edge(edge: Edge, more_ahead: int) -> dict[str, object]:
    return {
        "waiter_pid": edge.waiter.pid,
        "blocker_pid": edge.blocker.pid,
        "blocker_gid": edge.blocker.gid or None,
        "kind": edge.kind,
        "lock": {
            "type": edge.lock.type,
            "mode": edge.lock.mode,
            "held_mode": edge.lock.held_mode,
            "target": edge.lock.target,
            "also_held_by": [party.pid for party in edge.lock.also_held_by],
        },
        "wait_s": edge.wait_s,
        "more_ahead": more_ahead,
    }


def _root(root: Party, graph: LockGraph) -> dict[str, object]:
    diagnosis = diagnose(graph, root)
    return {
        "pid": root.pid,
        "gid": root.gid or None,
        "blocks": graph.blocks(root),
        "blocks_directly": graph.blocks_directly(root),
        "longest_wait_s": graph.longest_wait_s(root),
        "cause": diagnosis.cause,
        "explanation": diagnosis.explanation,
        "advice": diagnosis.advice,
        "practice": diagnosis.practice or None,
    }
