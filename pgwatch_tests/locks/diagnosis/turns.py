"""Advice to take turns by a named lock: for two tests that contend for what may not be made unique. Pure."""

from __future__ import annotations

import re

from pgwatch_tests.identity.application_name import TestIdentity
from pgwatch_tests.locks.diagnosis.evidence import Diagnosis, RootBlocker
from pgwatch_tests.locks.model import Edge
from pgwatch_tests.locks.waits.named_locks import NAMED_LOCK

_CONTENDING = ("same_key", "truncate_or_cleanup_vs_test", "advisory_lock")
_TABLE = re.compile(r"[A-Za-z0-9_.]{1,63}")


def named_lock(root: RootBlocker) -> Diagnosis | None:
    """Tests take turns by a named lock, as they are meant to."""
    if not root.direct or not all(edge.lock.target.startswith(f"{NAMED_LOCK} ") for edge in root.direct):
        return None
    target = root.direct[0].lock.target
    return Diagnosis(
        "named_lock",
        f"{root.who} holds the {target} ({root.state()}); {root.waiting(root.direct)} for its turn"
        f"{root.besides(root.direct)}.",
        "Nothing is wrong: the tests take turns. Keep the one that holds it short, and let tests that don't "
        "disturb each other share it (shared=True).",
    )


def advice(root: RootBlocker, cause: str) -> str:
    """Returns advice that two tests take turns; empty if they aren't two tests that contend for something."""
    if cause not in _CONTENDING:
        return ""
    blocker = _test(root, root.session.pid if root.session else 0)
    for edge in root.direct:
        waiter = _test(root, edge.waiter.pid)
        if blocker is None or waiter is None or waiter == blocker:
            continue
        if waiter.runner == blocker.runner == "pytest":
            return f"If they must share it, mark both tests @pytest.mark.pgwatch_lock({_name(edge)})."
        return f"If they must share it, take one named lock ({_name(edge)}) in both tests."
    return ""


def _test(root: RootBlocker, pid: int) -> TestIdentity | None:
    session = next((one for party, one in root.graph.sessions.items() if party.pid == pid), None)
    return session.identity if session else None


def _name(edge: Edge) -> str:
    """The table's name, for a lock that is about one; else a name to be found."""
    about = edge.lock.object
    return f'"{about}"' if edge.lock.type != "advisory" and _TABLE.fullmatch(about) else '"…"'
