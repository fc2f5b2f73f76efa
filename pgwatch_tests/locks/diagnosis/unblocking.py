"""Unblocking: which statement of an advice frees those that wait now, whom it is about. Pure."""

from __future__ import annotations

from collections.abc import Sequence
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


_FOUND: WeakKeyDictionary[LockGraph, dict[tuple[Party, str], tuple[Unblocking, ...]]] = WeakKeyDictionary()


def unblocking(graph: LockGraph, root: Party, diagnosis: Diagnosis) -> Unblocking | None:
    """The first statement in the advice about `root`; None if it has none."""
    return next(iter(all_unblocking(graph, root, diagnosis)), None)


def all_unblocking(graph: LockGraph, root: Party, diagnosis: Diagnosis) -> tuple[Unblocking, ...]:
    """The statements in the advice about `root`, in its order.

    Only a statement about the root, or who waits for it, is one: an advice cites names of others' choice.
    They are looked for once in each graph, as the diagnosis is.
    """
    found = _FOUND.setdefault(graph, {})
    key = root, diagnosis.advice
    if key not in found:
        found[key] = _all_unblocking(graph, root, diagnosis)
    return found[key]


def without_sql(advice: str, statements: Sequence[Unblocking]) -> str:
    """An advice without the SQL of its statements, for where keys run and copy these."""
    for one in statements:
        advice = advice.replace(f" ({one.sql})", "", 1)
    return advice


def _all_unblocking(graph: LockGraph, root: Party, diagnosis: Diagnosis) -> tuple[Unblocking, ...]:
    if not root.pid:
        prepared = graph.prepared.get(root)
        sql = f"ROLLBACK PREPARED {literal(root.gid)}"
        database = prepared.database if prepared and prepared.database else ""
        found = sql in diagnosis.advice
        return (Unblocking(sql, "roll_back", root, _freed(graph, root), database),) if found else ()
    places: dict[int, tuple[Literal["cancel", "terminate"], str, Party]] = {}
    for party in (root, *(edge.waiter for edge in RootBlocker.of(graph, root).direct)):
        for how, function in _FUNCTIONS:
            sql = f"SELECT {function}({party.pid})"
            if party.pid and sql in diagnosis.advice:
                places[diagnosis.advice.find(sql)] = how, sql, party
    return tuple(
        Unblocking(sql, how, party, _freed(graph, party)) for _, (how, sql, party) in sorted(places.items())
    )


_FUNCTIONS: tuple[tuple[Literal["cancel", "terminate"], str], ...] = (
    ("terminate", "pg_terminate_backend"),
    ("cancel", "pg_cancel_backend"),
)


def _freed(graph: LockGraph, party: Party) -> int:
    return len(graph.wait_for_alone(party))
