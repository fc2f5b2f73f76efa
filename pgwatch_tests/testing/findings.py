"""Findings about tests: who did what to the database, and what to do. Only the standard library.

Whoever finds something calls `tell`; the plugin listens while it is on. Without a listener nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.testing.current_test import Owner

FindingKind = Literal[
    "rows",
    "late_rows",
    "lost_rows",
    "open_transaction",
    "prepared_transaction",
    "schema",
    "database",
    "session_state",
    "connections",
    "self_wait",
    "blocked",
    "deadlock",
    "hang",
    "interference",
    "not_checked",
]
"""`late_rows`: written after their test had ended. `not_checked`: something couldn't be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a test did, or that couldn't be checked."""

    kind: FindingKind
    owner: Owner | None
    """Whom it is put down to; None where that isn't known for a fact: `reason` then names candidates."""
    reason: str
    """One sentence that names tests, objects and figures."""
    advice: str = ""
    """What to do about it."""
    tables: tuple[str, ...] = ()
    """The tables that it is about, as `schema.table`."""
    fails: bool = True
    """Whether `--pgwatch=fail` fails the test, or the run, on it."""
    rows: int = 0
    """The number of rows it is about; 0 where it isn't about rows."""


Listener = Callable[[Finding], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Tells `listener` each finding of this process from now on, in the thread that found it.

    Returns what ends that. A listener raises nothing.
    """
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def tell(finding: Finding) -> None:
    """Tells the listeners of a finding."""
    for listener in tuple(_listeners):
        listener(finding)
