"""Unblocking: which statement of an advice frees those that wait now, whom it is about. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis, RootBlocker
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party
from pgwatch_tests.text.sql_names import literal


@dataclass(frozen=True, slots=True)
class Unblocking:
    """The statement that an advice names. `party` is whom it cancels, ends or rolls back."""

    sql: str
    how: Literal["cancel", "terminate", "roll_back"]
    party: Party
    frees: int
    """Those that wait for `party` alone, and so can continue."""
    database: str = ""
    """Where it has to be run; empty for anywhere on the server."""


_FOUND: WeakKeyDictionary[LockGraph, dict[tuple[Party, str], Unblocking | None]] = WeakKeyDictionary()


def unblocking(graph: LockGraph, root: Party, diagnosis: Diagnosis) -> Unblocking | None:
    """The statement in the advice about `root`; None if it has none.

    Only a statement about the root, or who waits for it, is one: an advice cites names of others' choice. It
    is looked for once in each graph, as the diagnosis is.
    """
    found = _FOUND.setdefault(graph, {})
    key = root, diagnosis.advice
    if key not in found:
        found[key] = _unblocking(graph, root, diagnosis)
    return found[key]


def _unblocking(graph: LockGraph, root: Party, diagnosis: Diagnosis) -> Unblocking | None:
    if not root.pid:
        prepared = graph.prepared.get(root)
        sql = f"ROLLBACK PREPARED {literal(root.gid)}"
        database = prepared.database if prepared and prepared.database else ""
        found = sql in diagnosis.advice
        return Unblocking(sql, "roll_back", root, _freed(graph, root), database) if found else None
    places = {
        diagnosis.advice.find(statement.sql): statement
        for party in (root, *(edge.waiter for edge in RootBlocker.of(graph, root).direct))
        if party.pid
        for statement in (
            Unblocking(f"SELECT pg_terminate_backend({party.pid})", "terminate", party, 0),
            Unblocking(f"SELECT pg_cancel_backend({party.pid})", "cancel", party, 0),
        )
        if statement.sql in diagnosis.advice
    }
    if not places:
        return None
    first = places[min(places)]
    return Unblocking(first.sql, first.how, first.party, _freed(graph, first.party))


def _freed(graph: LockGraph, party: Party) -> int:
    return len(graph.wait_for_alone(party))
