"""Sessions of a snapshot as rows: which test, where, in which state since when, what each waits for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pgwatch_tests.locks.graph.lock_graph import LockGraph, graph_of
from pgwatch_tests.locks.model import LockSnapshot, Party, Session
from pgwatch_tests.locks.waits.session_waits import waits_for
from pgwatch_tests.reports.locks.test_labels import TestLabel, label_of
from pgwatch_tests.reports.locks.wait_tones import of_idle_transaction, of_wait
from pgwatch_tests.text.plain_text import one_line, plain
from pgwatch_tests.text.toned_text import Tone

Order = Literal["longest in state", "test", "pid", "database", "user", "client", "state", "blocked"]

_QUIET_STATES = ("idle", "")


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. All text is plain."""

    session: Session
    key: str
    label: TestLabel
    database: str
    user: str
    client: str
    state: str
    since_s: float | None
    """How long in that state, in seconds."""
    waits: str
    """What it waits for, in words; empty for nothing that could be told."""
    wait_s: float | None
    """How long it has been blocked, in seconds; None if nobody blocks it."""
    blocks: int
    """How many sessions wait behind it, directly or not."""
    query: str
    tone: Tone
    """What its wait, or else its state, and their length say."""

    @property
    def worker(self) -> str:
        """The worker, `gw0`; empty if the session names no test."""
        return self.label.worker

    @property
    def test(self) -> str:
        """The test's own name; what else the session is called where it names none."""
        return self.label.name

    @property
    def place(self) -> str:
        """The test's file, and what else encloses it."""
        return self.label.place

    @property
    def shown_s(self) -> float | None:
        """How long it has been in its state; where that is hidden from us, how long it has waited."""
        return self.wait_s if self.since_s is None else self.since_s

    @property
    def is_root(self) -> bool:
        """Whether it blocks others and waits for nobody."""
        return self.blocks > 0 and self.wait_s is None


def session_rows(
    snapshot: LockSnapshot, order: Order, *, databases: Sequence[str] = (), idle_only: bool = False
) -> list[SessionRow]:
    """The clients' sessions, ours left out, in that order.

    `databases` are globs: of those that match one only; `idle_only`: only those that run no statement.
    """
    graph = graph_of(snapshot)
    sessions = [
        one
        for one in snapshot.clients
        if (not databases or any(fnmatchcase(one.database or "", glob) for glob in databases))
        and not (idle_only and (one.hidden or one.state == "active"))
    ]
    rows = [_row(one, graph) for one in sessions]
    return sorted(rows, key=ORDERS[order])


def _row(session: Session, graph: LockGraph) -> SessionRow:
    label, party = label_of(session), Party(session.pid)
    edge = graph.edge(party)
    wait_s = graph.wait_s(party)
    return SessionRow(
        session,
        f"{session.pid}/{session.backend_start}",
        label,
        plain(session.database or ""),
        plain(session.user or ""),
        plain(session.client),
        "hidden" if session.hidden else plain(session.state or ""),
        session.state_age_s,
        plain(waits_for(session) if edge is None else edge.lock.target or edge.lock.type),
        wait_s,
        graph.blocks(party),
        one_line(session.query),
        _tone(session) if edge is None else of_wait(wait_s),
    )


def is_idle_in_transaction(row: SessionRow) -> bool:
    """Whether it holds a transaction open and runs nothing."""
    return (row.session.state or "").startswith("idle in transaction")


def is_resting(row: SessionRow) -> bool:
    """Whether it is just connected, as far as one can see."""
    return row.wait_s is None and (row.session.hidden or row.session.state in (None, *_QUIET_STATES))


def _tone(session: Session) -> Tone:
    state = session.state or ""
    if state.startswith("idle in transaction"):
        return of_idle_transaction(session.state_age_s)
    return "quiet" if session.hidden or state in _QUIET_STATES else ""


def _rank(row: SessionRow) -> int:
    """Roots first: there, something can be done."""
    if row.is_root:
        return 0
    if row.wait_s is not None:
        return 1
    state = row.session.state or ""
    return 2 if state.startswith("idle in transaction") else 3 if state == "active" else 4


ORDERS: dict[Order, Callable[[SessionRow], tuple[object, ...]]] = {
    "longest in state": lambda row: (
        _rank(row),
        -row.blocks if row.is_root else 0,
        -(row.since_s or 0.0),
        row.session.pid,
    ),
    "test": lambda row: (row.place, row.test, row.session.pid),
    "pid": lambda row: (row.session.pid,),
    "database": lambda row: (row.database, _rank(row), -(row.since_s or 0.0), row.session.pid),
    "user": lambda row: (row.user, _rank(row), -(row.since_s or 0.0), row.session.pid),
    "client": lambda row: (row.client, _rank(row), -(row.since_s or 0.0), row.session.pid),
    "state": lambda row: (_rank(row), row.state, -(row.since_s or 0.0), row.session.pid),
    "blocked": lambda row: (-(row.wait_s or -1.0), _rank(row), row.session.pid),
}
"""The orders, the one to begin with first: what is in trouble stands above what is at work."""
