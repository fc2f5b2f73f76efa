"""What a round trip of an actor touched: by the locks of its session, once it is answered or has to wait."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.actor import Actor, Session
from pgwatch_tests.testing.interleaving.gates.round_trip import ABOVE_READ_COMMITTED, RoundTrip
from pgwatch_tests.testing.interleaving.monitor import Monitor
from pgwatch_tests.testing.interleaving.schedules.step import deleted_from, is_told_by_locks, sets_isolation
from pgwatch_tests.testing.interleaving.schedules.touch import Touch

_ROWS = re.compile(r"(\d+) rows?|→ ")
"""How the result of a step tells how many rows there were; one is shown by its value, if it has but one."""


@dataclass(frozen=True, slots=True)
class UseOfLocks:
    """What an exploration needs the locks of its actors for: they are asked for only then."""

    tells_conflicts: bool = True
    """Whether schedules are left out for others."""
    finds_rows: bool = True
    """Whether rows that were written are compared."""


def touched_by_answered(
    monitor: Monitor,
    actor: Actor,
    session: Session,
    trip: RoundTrip,
    error: BaseException | None,
    use: UseOfLocks,
) -> Touch:
    """Returns what a round trip touched that has come back. Raises psycopg.Error."""
    status = trip.connection.status
    was_in_transaction = session.in_transaction
    is_serializable = session.isolation is IsolationLevel.SERIALIZABLE
    # The server may not have heard yet that a connection was closed.
    is_lost = was_in_transaction and trip.connection.is_closed
    _count_deleted(actor, session, trip, error, status)
    session.in_transaction = is_lost or status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
    if session.has_own_level and status == TransactionStatus.IDLE:
        session.has_own_level = False
        trip.connection.forget_isolation()
    if trip.kind is None:
        if sets_isolation(trip.text):
            trip.connection.forget_isolation()
        if not trip.rolls_back:
            return Touch()
        held = session.end_transaction() if status == TransactionStatus.IDLE else dict(session.held)
        return Touch(frees=held, is_unknown=is_serializable)
    if status == TransactionStatus.IDLE:
        is_untold = session.is_deferrable or session.is_untold
        held = session.end_transaction()
        is_commit = trip.kind == "commit" and was_in_transaction and error is None
        # The locks of a statement that was a transaction of its own are gone.
        actor.has_autocommitted |= trip.kind != "commit"
        return Touch(frees=held, is_unknown=not is_commit or is_serializable or is_untold)
    if error is not None or status != TransactionStatus.INTRANS:
        return Touch(is_unknown=True)
    is_first = session.isolation is None
    if is_first:
        session.isolation = trip.connection.transaction_isolation()
    return _taken(monitor, actor, session, trip, use, is_first=is_first)


def touched_by_waiting(
    monitor: Monitor, actor: Actor, session: Session, trip: RoundTrip, use: UseOfLocks
) -> Touch:
    """Returns what a round trip has touched that waits, the lock included. Raises psycopg.Error."""
    is_first = session.isolation is None
    if is_first:
        session.isolation = trip.connection.known_isolation
    touch = _taken(monitor, actor, session, trip, use, is_first=is_first)
    # The level of its transaction can't be asked while it waits.
    return replace(touch, begins_snapshot=True) if session.isolation is None else touch


def _count_deleted(
    actor: Actor, session: Session, trip: RoundTrip, error: BaseException | None, status: TransactionStatus
) -> None:
    if trip.kind is not None and error is None:
        if (table := deleted_from(trip.text)) and (rows := _ROWS.match(actor.result)):
            session.deleted[table] += int(rows[1] or 1)
        if status == TransactionStatus.IDLE:
            actor.deleted.update(session.deleted)
    elif trip.rolls_back and status != TransactionStatus.IDLE:
        actor.has_undone_savepoint |= bool(session.deleted)
    if status not in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        session.deleted.clear()


def _taken(
    monitor: Monitor, actor: Actor, session: Session, trip: RoundTrip, use: UseOfLocks, *, is_first: bool
) -> Touch:
    if not (use.finds_rows or (use.tells_conflicts and session.isolation is not IsolationLevel.SERIALIZABLE)):
        return Touch(is_unknown=True)
    locks = monitor.locks(session.pid)
    actor.transactions |= locks.transactions
    session.is_deferrable |= locks.is_deferrable
    for resource, taken in locks.resources.items():
        session.held[resource] = session.held.get(resource, 0) | taken
    is_unknown = (
        trip.is_untold
        or locks.is_serializable
        or session.isolation is IsolationLevel.SERIALIZABLE
        or not is_told_by_locks(trip.text)
        or monitor.hides(trip.text)
    )
    session.is_untold |= is_unknown
    keeps_snapshot = is_first and session.isolation in ABOVE_READ_COMMITTED
    return Touch(dict(session.held), begins_snapshot=keeps_snapshot, is_unknown=is_unknown)
