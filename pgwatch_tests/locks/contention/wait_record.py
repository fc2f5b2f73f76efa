"""Record of one wait: who, where, by which statements, for what, and what helps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.locks.diagnosis.evidence import Diagnosis
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, EdgeGroup, Party
from pgwatch_tests.locks.waits import lock_modes

# A watch keeps hundreds of statements; who needs all of one finds it by its beginning.
_STATEMENT_CHARACTERS = 2_000
_MOST_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class LockedObject:
    """The object that was waited for, and the mode: `accounts`, `SHARE`. Foreign text as it is."""

    object: str
    mode: str
    database: str = ""
    """Empty: the tested one, none in particular, or not known."""


@dataclass(frozen=True, slots=True)
class Side:
    """A session at one end of a wait, or a prepared transaction. Foreign text as it is; None: not known."""

    who: str
    database: str | None
    user: str | None
    client: str
    statement: str
    """Its present or last statement; empty if hidden, and of a prepared transaction."""


@dataclass(frozen=True, slots=True)
class RecordedWait:
    """A wait behind a root blocker, as it was when it had lasted longest."""

    wait_s: float
    seen_at: datetime
    waiter: Side
    blocker: Side
    target: str
    object: LockedObject
    cause: str
    explanation: str
    advice: str
    direct: str = ""
    """Whom it waits for itself, where that isn't the root, as far as that is told. Foreign text as it is."""


def side(graph: LockGraph, party: Party) -> Side:
    """Returns a party as a watch keeps it."""
    session = graph.sessions.get(party)
    if session is not None:
        statement = session.query[:_STATEMENT_CHARACTERS]
        return Side(graph.who(party), session.database, session.user, session.client, statement)
    prepared = graph.prepared.get(party)
    database, user = (prepared.database, prepared.user) if prepared else (None, None)
    return Side(graph.who(party), database, user, "", "")


def locked(graph: LockGraph, edge: Edge | EdgeGroup) -> LockedObject:
    """Returns the object of an edge's wait, with its database if that is another one."""
    lock = edge.lock
    of_database = edge.subject is not None and edge.subject.kind != "database" and edge.subject.database
    database = graph.other_database(edge.waiter) if of_database else ""
    return LockedObject(lock.object or lock.target or lock.type, lock_modes.in_words(lock.mode), database)


def recorded(
    graph: LockGraph,
    edge: Edge | EdgeGroup,
    root: Party,
    waiter: Side,
    blocker: Side,
    wait_s: float,
    diagnosis: Diagnosis,
) -> RecordedWait:
    """The wait of an edge; `blocker` is the `root`, `diagnosis` is about it."""
    return RecordedWait(
        wait_s,
        graph.snapshot.sampled_at,
        waiter,
        blocker,
        edge.lock.target or edge.lock.type,
        locked(graph, edge),
        diagnosis.cause,
        diagnosis.explanation,
        diagnosis.advice,
        _direct(graph, edge.waiter, root),
    )


def _direct(graph: LockGraph, waiter: Party, root: Party) -> str:
    """Whom `waiter` itself waits for: a holder of the lock, else who is ahead; empty if `root`, or many."""
    groups = graph.groups.get(waiter, ())
    if not groups or any(root in group.blockers for group in groups):
        return ""
    nearest = [group for group in groups if group.kind != "soft"] or groups
    # It is asked of each waiter with each poll: of a queue of hundreds nobody is named.
    if sum(len(group.blockers) for group in nearest) > _MOST_LOOKED_AT:
        return ""
    return graph.who(min(blocker for group in nearest for blocker in group.blockers))
