"""Orphan prepared transactions: rolls back old ones, which hold their locks over restarts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import psycopg
from psycopg import errors
from psycopg.pq import Escaping

from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import KeptReason, Orphan
from pgwatch_tests.sweep.orphans.orphan_loop import (
    Candidate,
    OrphanKeptError,
    Stopped,
    SweptOrphans,
    check_confirmed,
    sweep_each,
)
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.numbers import named

_MOST_DESCRIBED = 10
"""Prepared transactions of a plan whose locks are asked for: all of the server's are read for each."""
_ENDED: tuple[KeptReason, str] = "changed", "it had already ended"


@dataclass(frozen=True, slots=True)
class PreparedLock:
    """A row of queries/sweep/prepared_locks.sql: of a relation, or of a session that waits."""

    relation: str
    pid: int | None
    application_name: str


@dataclass(frozen=True, slots=True)
class PreparedOrphan:
    """A row of queries/sweep/prepared.sql."""

    gid: str
    gid_bytes: bytes
    transaction: str
    prepared: datetime
    age_s: float
    owner: str
    is_ours: bool

    @property
    def identity(self) -> tuple[bytes, str, datetime]:
        """An identity that no other one shares, not even a later one of the same name."""
        return self.gid_bytes, self.transaction, self.prepared

    @property
    def told_by(self) -> str:
        """The same, as a text to be confirmed with its name."""
        return f"{self.transaction} {self.prepared.isoformat()}"


def sweep_prepared(
    session: DatabaseSession, settings: Settings, request: SweepRequest, stopped: Stopped
) -> SweptOrphans:
    """Rolls back the database's old prepared transactions; a dry run only reports them.

    One that somebody has confirmed may be young. Raises psycopg.Error if not even the list can be had,
    ConnectionLostError and WorkCancelledError.
    """

    def check(one: PreparedOrphan) -> None:
        age_s = max(0.0, one.age_s)
        if request.part is not None and request.part.confirmed:
            check_confirmed(one.told_by, request.part.confirmed)
        elif age_s < request.min_age_s:
            raise OrphanKeptError("too_young", f"{in_words(age_s)} old")
        if not one.is_ours:
            raise OrphanKeptError("refused", needs_owner(one))

    def described(number: int, one: PreparedOrphan) -> Orphan:
        # Why another role's stays names its owner, too.
        told = [f"owner {one.owner}"] if one.is_ours else []
        if request.dry_run and number < _MOST_DESCRIBED:
            # A plan is to say what is rolled back with it.
            locked = [lock.relation for lock in locks_of(session, one) if lock.pid is None]
            told += [f"locks {named(locked)}"] if locked else []
        return Orphan("prepared", one.gid, removed=True, detail=", ".join(told), age_s=max(0.0, one.age_s))

    candidates = (
        Candidate(described(number, one), partial(check, one), partial(roll_back, session, one))
        for number, one in enumerate(prepared_in(session))
    )
    return sweep_each(candidates, request, stopped)


def prepared_in(session: DatabaseSession, database_oid: int | None = None) -> list[PreparedOrphan]:
    """The prepared transactions of a database of the server; None: the connected one.

    Raises what `session.running` does.
    """
    parameters = {"database_oid": database_oid}
    return session.ask("sweep/prepared", PreparedOrphan, parameters)


def locks_of(session: DatabaseSession, one: PreparedOrphan) -> list[PreparedLock]:
    """The relations that a prepared transaction has locked, and the sessions that wait for it.

    Raises what `session.running` does.
    """
    return session.ask("sweep/prepared_locks", PreparedLock, {"transaction": one.transaction})


def roll_back(session: DatabaseSession, one: PreparedOrphan) -> None:
    """Rolls back a prepared transaction of the database that `session` is connected to.

    Raises OrphanKeptError if it has ended or stays; ConnectionLostError and WorkCancelledError.
    """
    try:
        if one.identity not in {now.identity for now in prepared_in(session)}:
            raise OrphanKeptError(*_ENDED)
        gid = Escaping(session.connection.pgconn).escape_literal(one.gid_bytes)
        session.execute(b"ROLLBACK PREPARED %b" % bytes(gid))
    except errors.UndefinedObject:
        raise OrphanKeptError(*_ENDED) from None
    except psycopg.Error as error:
        raise OrphanKeptError("refused", full_server_message(error)) from error


def needs_owner(one: PreparedOrphan) -> str:
    """Returns what it takes to roll back another role's."""
    return f"needs the role that prepared it ({one.owner}) or a superuser"
