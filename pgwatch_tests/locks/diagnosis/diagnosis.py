"""Says why a root blocker blocks, and what to do. Pure: the same graph gives the same words."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.locks.diagnosis import lock_origin, rules
from pgwatch_tests.locks.diagnosis.evidence import Case, Diagnosis
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Party

# Causes that tell of a lock which the root holds, so that one wonders what has taken it.
_ABOUT_A_LOCK = (
    *("waits_for_itself", "same_key", "advisory_lock", "foreign_key_share", "idle_in_transaction"),
    *("waits_for_client", "ddl_queue", "table_lock", "truncate_or_cleanup_vs_test", "same_row", "long_query"),
)

__all__ = ["Diagnosis", "diagnose"]


def diagnose(graph: LockGraph, root: Party) -> Diagnosis:
    """Why `root` blocks, and what to do about it: the first rule that applies."""
    case = Case.of(graph, root)
    for rule in rules.RULES:
        found = rule(case)
        if found is not None:
            break
    else:
        found = rules.unknown(case)
    remark = lock_origin.remark(case) if found.cause in _ABOUT_A_LOCK else ""
    return replace(found, explanation=f"{found.explanation} {remark}") if remark else found
