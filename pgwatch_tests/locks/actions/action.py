"""Actions: cancel a statement, end a session, roll back a prepared transaction, as it was seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Session

How = Literal["cancel", "terminate"]
ActionResult = Literal["done", "refused", "unconfirmed", "in_vain"]

_BLOCKERS_NAMED = 2


@dataclass(frozen=True, slots=True)
class SessionAction:
    """Cancel the statement of a session, or end the session: the one that began at `backend_start`."""

    how: How
    pid: int
    who: str
    """`test_booking (gw0, pid 4711)`: foreign text as it is."""
    backend_start: datetime | None
    """None if our role may not see it; then the next three are what it is recognised by."""
    user_oid: int | None
    database_oid: int | None
    application_name: str
    query_start: datetime | None
    """The start of the statement that was seen; None: whichever runs when the signal is sent."""
    waiters: tuple[Party, ...] = ()
    """The sessions that waited behind it, directly or through others."""
    server_started: datetime | None = None
    """The start time of the server that showed it: no other server is touched."""
    xact_start: datetime | None = None
    """The start of the transaction that it is to be ended for; None if for none, or for a hidden one."""
    held_up: tuple[int, ...] = ()
    """The pids of those that waited for it directly: it may be ended for these, too."""

    @property
    def party(self) -> Party:
        """Its place in the wait-for graph."""
        return Party(self.pid)


@dataclass(frozen=True, slots=True)
class PreparedRollback:
    """Roll back the prepared transaction that was given this name at that time."""

    gid: str
    database: str | None
    """None if its name isn't known yet."""
    database_oid: int | None
    prepared_at: datetime
    """To the millisecond."""
    waiters: tuple[Party, ...] = ()
    server_started: datetime | None = None
    """The start time of the server that showed it: no other server is touched."""

    @property
    def party(self) -> Party:
        """Its place in the wait-for graph."""
        return Party(0, self.gid)


Action = SessionAction | PreparedRollback


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an action. `message` is one sentence or two, foreign text as it is.

    `refused`: nothing was done. `unconfirmed`: the server was told, and it isn't known to have worked.
    `in_vain`: it worked, and all that waited behind it still wait.
    """

    result: ActionResult
    message: str
    looked_at: datetime | None = None
    """When it was seen, by the server's clock, who still waits; None if nobody looked."""


def on_session(graph: LockGraph, pid: int, how: How) -> SessionAction:
    """The action on a session as it is seen now.

    Raises RefusedError if there is none with that pid, if it is ours, or if nothing identifies it.
    """
    party = Party(pid)
    session = graph.sessions.get(party)
    if session is None:
        raise RefusedError(f"there is no session with pid {pid}")
    if session.application_name == OWN_NAME:
        raise RefusedError(f"pid {pid} is a session of pgwatch-tests itself")
    if session.backend_start is None and not (session.hidden and session.user_oid):
        raise RefusedError(
            f"can't identify pid {pid}: nothing visible tells it from a later session with the same pid"
        )
    return SessionAction(
        how,
        pid,
        graph.who(party),
        session.backend_start,
        session.user_oid,
        session.database_oid,
        session.application_name,
        _query_start(graph.snapshot, session),
        graph.all_behind(party),
        graph.snapshot.server_started,
        *_ended_for(graph, session),
    )


def on_prepared(graph: LockGraph, gid: str) -> PreparedRollback:
    """The rollback of a prepared transaction as it is seen now. Raises RefusedError if there is none."""
    party = Party(0, gid)
    prepared = graph.prepared.get(party)
    if prepared is None or prepared.age_s is None:
        raise RefusedError(f"there is no prepared transaction {gid!r}")
    return PreparedRollback(
        gid,
        prepared.database,
        prepared.database_oid,
        graph.snapshot.sampled_at - timedelta(seconds=prepared.age_s),
        graph.all_behind(party),
        graph.snapshot.server_started,
    )


def action_on(graph: LockGraph, party: Party, how: How) -> Action:
    """Returns the action for `how` on a session or prepared transaction.

    Raises RefusedError if there is none.
    """
    if party.pid:
        return on_session(graph, party.pid, how)
    if how == "cancel":
        raise RefusedError("a prepared transaction runs no statement: K rolls it back")
    return on_prepared(graph, party.gid)


def is_idle(state: str | None) -> bool:
    """Whether a session in that state runs no statement, so that there is nothing to cancel."""
    return (state or "").startswith("idle")


def _query_start(snapshot: LockSnapshot, session: Session) -> datetime | None:
    if session.query_age_s is None or is_idle(session.state):
        return None
    return snapshot.sampled_at - timedelta(seconds=session.query_age_s)


def _ended_for(graph: LockGraph, session: Session) -> tuple[datetime | None, tuple[int, ...]]:
    """Returns the start of the transaction that a session is to be ended for, and the pids of its waiters."""
    party = Party(session.pid)
    edges = [edge for waiter in graph.waiters(party) if (edge := graph.edge(waiter, party)) is not None]
    # Who is in a database that somebody needs for himself is in the way whatever he does there. Who ends a
    # session that works, and blocks nobody, is rid of it whatever it does by then.
    if any(edge.kind == "connected" for edge in edges) or not (edges or is_idle(session.state)):
        return None, ()
    began = None
    if session.xact_age_s is not None:
        began = graph.snapshot.sampled_at - timedelta(seconds=session.xact_age_s)
    return began, tuple(sorted(edge.waiter.pid for edge in edges if edge.waiter.pid))


def aftermath(action: Action, after: LockGraph) -> str:
    """Returns a sentence on the sessions that waited behind it; empty if none did."""
    still = [waiter for waiter in action.waiters if waiter in after.groups]
    before = len(action.waiters)
    freed = before - len(still)
    if not before:
        return ""
    if not still:
        return f"{_sessions(before)} it blocked can continue."
    if not freed:
        waits = "still waits" if before == 1 else "still wait"
        return f"{_sessions(before)} it blocked {waits}, behind {_blockers(action, after, still)}."
    return (
        f"Of {before:,} sessions it blocked, {freed:,} can continue; {len(still):,} still "
        f"{'waits' if len(still) == 1 else 'wait'}, behind {_blockers(action, after, still)}."
    )


def still_behind(action: Action, after: LockGraph) -> bool:
    """Whether a session that waited behind it still does."""
    return bool(after.blocked_by(action.party).intersection(action.waiters))


def freed_nobody(action: Action, after: LockGraph) -> bool:
    """Whether all that waited behind it still wait, for it or for others; false if nobody did."""
    return bool(action.waiters) and all(waiter in after.groups for waiter in action.waiters)


def _blockers(action: Action, after: LockGraph, still: list[Party]) -> str:
    roots = [root for root in after.root_blockers if after.blocked_by(root).intersection(still)]
    # Deadlocked ones have no root: those in front of them stand for it.
    blockers = roots or sorted(set[Party]().union(*map(after.blockers, still)))
    names = ["it" if one == action.party else after.who(one) for one in blockers[:_BLOCKERS_NAMED]]
    more = len(blockers) - len(names)
    return " and ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _sessions(count: int) -> str:
    return "The session" if count == 1 else f"The {count:,} sessions"
