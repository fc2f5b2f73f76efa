"""Evidence about a blocker and its waiters, in the words that the diagnosis rules use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Edge, Party, PreparedTransaction, Session, SubjectKind
from pgwatch_tests.locks.waits import statement_text
from pgwatch_tests.text import durations

# Lines of good testing practice, as a diagnosis cites them.
UNIQUE_DATA = "Don't use fixed test data"
OWN_DATA = "Isolate test data"
CLEAN_UP = "Clean up after each test"
NO_SHARED_STATE = "Don't share state between tests"

MOMENT_S = 2.0
"""A younger state is no trouble yet: a test that was just freed, or thinks between two statements, goes on
within that, and two polls at the usual pace show whether it does."""

_OTHERS_SHOWN = 2
_NOW = "To unblock now"
"""Begins the last sentence of an advice: what helps the sessions that are blocked at present."""


def advice_afterwards(advice: str) -> str:
    """Returns an advice without what would unblock the sessions now: they are gone."""
    return advice.partition(_NOW)[0].strip()


def advice_now(advice: str) -> str:
    """Returns what of an advice would unblock the sessions now, as a sentence; empty if it has no such."""
    _, now, unblocking = advice.partition(_NOW)
    words = unblocking.lstrip(", ")
    return words[:1].upper() + words[1:] if now else ""


def with_advice(advice: str, more: str) -> str:
    """Returns an advice with one more sentence, before what would unblock the sessions now."""
    better, now, unblocking = advice.partition(_NOW)
    return " ".join(filter(None, (better.strip(), more, now + unblocking)))


def with_patience(advice: str, patience: str) -> str:
    """Returns an advice whose part for now begins with the reason to wait for a moment before."""
    better, now, unblocking = advice.partition(_NOW)
    else_ = f" If it doesn't{unblocking}" if now else ""
    return f"{better.strip()} {_NOW}, wait a moment first: it {patience}.{else_}".strip()


def patience(session: Session | None) -> str:
    """Returns that what a session does has just begun; empty if it hasn't, or isn't known.

    `has been idle for 0.2 s only, and may go on by itself`
    """
    left_s = patience_s(session)
    if session is None or not left_s:
        return ""
    since = f"for {durations.in_words(MOMENT_S - left_s)} only"
    doing = "running a statement" if session.state == "active" else "idle"
    return f"has been {doing} {since}, and may go on by itself"


def patience_s(session: Session | None) -> float:
    """For how many seconds more what a session does has just begun; 0 if it hasn't, or isn't known."""
    if session is None or session.hidden or not session.state:
        return 0.0
    age_s = session.query_age_s if session.state == "active" else session.state_age_s
    return 0.0 if age_s is None else max(0.0, MOMENT_S - age_s)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The diagnosis of a root blocker; foreign text as it is.

    `cause` is a stable id; `explanation` and `advice` are a sentence each. `practice` is the line of good
    testing practice that the cause violates; empty where there is none.
    """

    cause: str
    explanation: str
    advice: str
    practice: str = ""


@dataclass(frozen=True, slots=True)
class RootBlocker:
    """A root blocker (or one of a deadlocked group), and those who wait for it."""

    graph: LockGraph
    party: Party
    direct: tuple[Edge, ...]
    """The waits for the root itself, the longest first."""

    @classmethod
    def of(cls, graph: LockGraph, party: Party) -> RootBlocker:
        """`party`, with the waits for it."""
        waiters = graph.waiters(party)
        direct = [
            group.edge(party)
            for waiter in waiters
            for group in graph.groups[waiter]
            if party in group.blockers
        ]
        direct.sort(key=lambda edge: (-(edge.wait_s or 0.0), edge.waiter))
        return cls(graph, party, tuple(direct))

    def waits_about(self, kind: SubjectKind) -> list[Edge]:
        """Returns the waits for the root itself that are about a row, a unique key …; the longest first."""
        return [edge for edge in self.direct if edge.subject and edge.subject.kind == kind]

    @property
    def session(self) -> Session | None:
        """The root's session; None for a prepared transaction."""
        return self.graph.sessions.get(self.party)

    @property
    def prepared(self) -> PreparedTransaction | None:
        """The root, if it is a prepared transaction."""
        return self.graph.prepared.get(self.party)

    @property
    def who(self) -> str:
        """The root by its test."""
        return self.graph.who(self.party)

    @property
    def is_idle(self) -> bool:
        """Whether the root has an open transaction and runs no statement."""
        return self._state.startswith("idle in transaction")

    @property
    def is_outside_transaction(self) -> bool:
        """Whether the root has no transaction open, so that what it holds is its session's."""
        return self._state == "idle"

    @property
    def is_active(self) -> bool:
        """Whether the root runs a statement."""
        return self._state == "active"

    @property
    def client_event(self) -> Literal["", "ClientRead", "ClientWrite"]:
        """The action that the root's statement awaits of its client: send the rest, or read; or empty.

        Then it isn't at work, and no cancel is heard before the client does (ProcessClientReadInterrupt,
        ProcessClientWriteInterrupt, src/backend/tcop/postgres.c).
        """
        event = self.session.wait_event if self.session and self.is_active else None
        events: tuple[Literal["ClientRead"], Literal["ClientWrite"]] = ("ClientRead", "ClientWrite")
        return next((one for one in events if one == event), "")

    @property
    def _state(self) -> str:
        return (self.session.state if self.session else None) or ""

    def state(self) -> str:
        """Returns the root's state, and since how long."""
        if self.session is None or self.session.hidden or not self._state:
            return "in a state that isn't visible to this role"
        age = durations.in_words(self.session.query_age_s)
        if self.client_event:
            awaited = "read its rows" if self.client_event == "ClientWrite" else "send the rest"
            return f"waiting for its client to {awaited}, in a statement that began {age} ago"
        if self.is_active:
            return f"running a statement for {age}"
        return f"{self._state} for {durations.in_words(self.session.state_age_s)}"

    def doing(self) -> str:
        """Returns the state as what the root does: `has been idle in transaction for 12 s`."""
        state = self.state()
        return f"is {state}" if self.session is None or self.session.hidden else f"has been {state}"

    def open_transaction(self) -> str:
        """`a transaction open, idle for 12 s`: of a root that is idle in one."""
        an = "an aborted" if self._state.endswith("(aborted)") else "a"
        age = durations.in_words(self.session.state_age_s if self.session else None)
        return f"{an} transaction open, idle for {age}"

    def whereabouts(self) -> str:
        """Returns the root's role and address: ` as app from 10.0.0.7:5123`; empty if unknown."""
        if self.session is None:
            return ""
        user, client = self.session.user, self.session.client
        where = "on the server's machine" if client == "local" else f"from {client}"
        return (f" as {user}" if user else "") + (f" {where}" if client else "")

    def free(self) -> str:
        """Advice that unblocks the root's waiters: a cancel does nothing to a session that isn't at work."""
        if self.is_active and not self.client_event:
            return f"cancel its statement (SELECT pg_cancel_backend({self.party.pid})){self._and_others()}"
        return f"end its session (SELECT pg_terminate_backend({self.party.pid})){self._and_others()}"

    def _and_others(self) -> str:
        """Returns what must happen too if others have locked the row: else the wait continues."""
        held_by = {party for edge in self.direct for party in edge.lock.also_held_by}
        if not held_by:
            return ""
        others = "holders end their transactions" if len(held_by) > 1 else "holder end its transaction"
        return f" and have the other {others}"

    def waiting(self, edges: Sequence[Edge]) -> str:
        """`test_b (gw1, pid 12) has waited 4.8 s`, or with others `… and 2 more have waited 4.8 s`.

        Those that wait for the same as the first of `edges`; `besides` tells of the others.
        """
        waiters = _alike(edges)
        more = len(waiters) - 1
        who = self.graph.who(waiters[0]) + (f" and {more:,} more have" if more else " has")
        return f"{who} waited {durations.in_words(edges[0].wait_s)}"

    def besides(self, edges: Sequence[Edge]) -> str:
        """`; 2 more wait for other locks it holds`: those not among the `waiting`; or empty."""
        more = len({edge.waiter for edge in self.direct}.difference(_alike(edges)))
        return f"; {more:,} more {'wait' if more > 1 else 'waits'} for other locks it holds" if more else ""

    def also_held(self, edge: Edge) -> str:
        """`; test_b (gw1, pid 12) has locked it too`: to end the root isn't enough then. Empty if nobody."""
        others = edge.lock.also_held_by
        names = ", ".join(map(self.graph.who, others[:_OTHERS_SHOWN]))
        more = len(others) - _OTHERS_SHOWN
        verb = "has" if len(others) == 1 else "have"
        return f"; {names}{f' and {more:,} more' if more > 0 else ''} {verb} locked it too" if others else ""

    def queue(self, edge: Edge) -> int:
        """Returns how many sessions queue behind the waiter of `edge` for the same lock."""
        tag = edge.wait.tag if edge.wait else None
        return sum(
            any(
                group.kind == "soft"
                and edge.waiter in group.blockers
                and group.wait
                and group.wait.tag == tag
                for group in self.graph.groups.get(party, ())
            )
            for party in self.graph.waiters(edge.waiter)
        )

    def query_of(self, party: Party) -> str:
        """Returns the present or last statement of a party; empty if hidden."""
        session = self.graph.sessions.get(party)
        return session.query if session else ""

    def statement_of(self, party: Party) -> str:
        """Returns the kind of a party's statement: `CREATE INDEX CONCURRENTLY`, `TRUNCATE`; empty if
        hidden."""
        return statement_text.kind(self.query_of(party))


def _alike(edges: Sequence[Edge]) -> list[Party]:
    """The edges that wait for the same object as the first one, in order."""
    first = edges[0].lock
    same = [edge for edge in edges if (edge.lock.type, edge.lock.target) == (first.type, first.target)]
    return list(dict.fromkeys(edge.waiter for edge in same))
