"""The `sessions` document of the JSON contract."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party
from pgwatch_tests.locks.snapshot.connection_usage import connection_groups
from pgwatch_tests.reports.locks.formats.lock_json import session_fields
from pgwatch_tests.reports.locks.formats.told_blockers import told_blockers
from pgwatch_tests.reports.sessions.session_rows import SessionRow
from pgwatch_tests.reports.verdict import capacity_use
from pgwatch_tests.text.times import iso_time

SCHEMA = "pgwatch-tests.sessions/1"


def document(snapshot: LockSnapshot, rows: Sequence[SessionRow]) -> str:
    """The document, indented; `connections` are the whole server's. Text is as it came, ASCII-escaped."""
    graph, capacity = LockGraph(snapshot), snapshot.capacity
    groups = connection_groups(snapshot.sessions)
    content = {
        "schema": SCHEMA,
        "sampled_at": iso_time(snapshot.sampled_at),
        "server_version": snapshot.server_version,
        "database": snapshot.database,
        "pooler": snapshot.pooled,
        "hidden_sessions": snapshot.hidden_sessions,
        "connections": capacity and capacity_use.connection_fields(capacity, groups),
        "sessions": [_session(row, graph) for row in rows],
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _session(row: SessionRow, graph: LockGraph) -> dict[str, object]:
    told = [told_blockers(group) for group in graph.groups.get(Party(row.session.pid), ())]
    return session_fields(row.session, graph) | {
        "waits_for": row.waits or None,
        "blocked_by": [party.pid for party in sorted(set[Party]().union(*(some for some, _ in told)))],
        "more_ahead": sum(more for _, more in told),
        "blocks": graph.blocks(Party(row.session.pid)),
    }
