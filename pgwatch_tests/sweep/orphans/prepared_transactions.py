"""Rolls back transactions that were prepared long ago and left so: they hold their locks over restarts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import psycopg
from psycopg import errors
from psycopg.pq import Escaping

from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import ScanSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import KeptReason, Orphan, SweepRequest
from pgwatch_tests.sweep.orphans.outcome import Found, Stopped
from pgwatch_tests.text.durations import in_words


@dataclass(frozen=True, slots=True)
class Prepared:
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
        """What no other one has, not even one that is given the same name afterwards."""
        return self.gid_bytes, self.transaction, self.prepared


def sweep_prepared(
    session: ScanSession, settings: Settings, request: SweepRequest, stopped: Stopped
) -> Found:
    """Rolls back the prepared transactions of the database that are old enough, or says which it would.

    Raises psycopg.Error if not even the list can be had, ConnectionLostError and ScanCancelledError.
    """
    return Found(tuple(_sweep(session, request, stopped, one) for one in prepared_in(session)))


def prepared_in(session: ScanSession, database_oid: int | None = None) -> list[Prepared]:
    """The prepared transactions of a database of the server; None: the connected one.

    Raises what `session.running` does.
    """
    parameters = {"database_oid": database_oid}
    return session.ask("sweep/prepared", Prepared, parameters)


def roll_back(session: ScanSession, one: Prepared) -> tuple[KeptReason, str] | None:
    """Rolls it back if it is still there: why it stays, or None. Raises ConnectionLostError …, not psycopg's.

    `session` must be connected to its database.
    """
    try:
        if one.identity not in {now.identity for now in prepared_in(session)}:
            return "changed", "it has ended by itself"
        gid = Escaping(session.connection.pgconn).escape_literal(one.gid_bytes)
        session.execute(b"ROLLBACK PREPARED %b" % bytes(gid))
    except errors.UndefinedObject:
        return "changed", "it has ended by itself"
    except psycopg.Error as error:
        return "refused", full_server_message(error)
    return None


def needs_owner(one: Prepared) -> str:
    """What it takes to roll back somebody else's."""
    return f"needs the role that prepared it ({one.owner}) or a superuser"


def _sweep(session: ScanSession, request: SweepRequest, stopped: Stopped, one: Prepared) -> Orphan:
    age_s = max(0.0, one.age_s)
    orphan = Orphan("prepared", one.gid, removed=True, age_s=age_s)
    kept: tuple[KeptReason, str] | None = None
    if stopped():
        kept = "interrupted", "the sweep was told to end"
    elif age_s < request.min_age_s:
        kept = "too_young", f"{in_words(age_s)} old"
    elif not one.is_ours:
        kept = "refused", needs_owner(one)
    elif not request.dry_run:
        kept = roll_back(session, one)
    return orphan if kept is None else replace(orphan, removed=False, reason=kept[0], detail=kept[1])
