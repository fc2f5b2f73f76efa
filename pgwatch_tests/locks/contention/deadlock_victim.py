"""Which session of a deadlock was ended for it, as far as later polls can prove that. Pure.

The server tells only its log, and the client. Who waited in a cycle, and is in an aborted transaction with
that very statement, is the victim. So is the one member whose transaction is over while all others wait on,
or are in the same transaction with the statement done: they still have the locks that it waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Session, Wait

_SAME_MOMENT_S = 0.005

Fate = Literal["failed", "over", "survived", "unknown"]


@dataclass(frozen=True, slots=True)
class Member:
    """A session of a cycle, as it was when that was seen. Times in seconds since the epoch."""

    party: Party
    wait: Wait | None
    who: str
    backend_start: datetime | None
    transaction_s: float | None
    statement_s: float | None
    statement: str


def member(graph: LockGraph, party: Party, wait: Wait | None) -> Member:
    """A member of a cycle in the graph."""
    session = graph.sessions.get(party)
    who = graph.who(party)
    if session is None:
        return Member(party, wait, who, None, None, None, "")
    begun_s, stated_s = _begun_s(graph.snapshot, session)
    return Member(party, wait, who, session.backend_start, begun_s, stated_s, session.query)


def victim(members: Sequence[Member], now: LockSnapshot) -> Member | None:
    """The member that was ended, by a later snapshot; None if that can't be told from it."""
    sessions = {Party(session.pid): session for session in now.sessions}
    waits = {(group.waiter, group.wait) for group in now.groups}
    fates = [_fate(one, now, sessions.get(one.party), (one.party, one.wait) in waits) for one in members]
    failed = _those(members, fates, "failed")
    if failed:
        return failed[0] if len(failed) == 1 else None
    over = _those(members, fates, "over")
    if len(over) == 1 and fates.count("survived") == len(members) - 1:
        return over[0]
    return None


def _those(members: Iterable[Member], fates: Iterable[Fate], fate: Fate) -> list[Member]:
    return [one for one, its_fate in zip(members, fates, strict=True) if its_fate == fate]


def _fate(one: Member, now: LockSnapshot, session: Session | None, waits: bool) -> Fate:
    if waits:
        return "survived"
    if one.backend_start is None or one.transaction_s is None or one.statement_s is None:
        return "unknown"
    if session is None or session.backend_start != one.backend_start:
        return "over"
    if session.hidden:
        return "unknown"
    begun_s, stated_s = _begun_s(now, session)
    if begun_s is None or abs(begun_s - one.transaction_s) > _SAME_MOMENT_S:
        return "over"
    if stated_s is None or session.query != one.statement or abs(stated_s - one.statement_s) > _SAME_MOMENT_S:
        # It may have been ended, have gone back to a savepoint, and be at work again.
        return "unknown"
    if session.state == "idle in transaction (aborted)":
        return "failed"
    # While it runs, it may be at giving up.
    return "survived" if session.state == "idle in transaction" else "unknown"


def _begun_s(snapshot: LockSnapshot, session: Session) -> tuple[float | None, float | None]:
    """When its transaction and its statement began."""
    now_s = snapshot.sampled_at.timestamp()
    transaction_s = None if session.xact_age_s is None else now_s - session.xact_age_s
    return transaction_s, None if session.query_age_s is None else now_s - session.query_age_s
