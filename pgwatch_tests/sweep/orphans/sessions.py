"""Orphan sessions, idle in a transaction whose locks they keep: ended only on demand."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import psycopg
from psycopg import errors

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.leaks import leftovers
from pgwatch_tests.leaks.model import LeftoverKind
from pgwatch_tests.postgres.leases import LEASE_KEY
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.model import KeptReason, Orphan
from pgwatch_tests.sweep.orphans.orphan_loop import (
    Candidate,
    OrphanKeptError,
    Stopped,
    SweptOrphans,
    sweep_each,
)
from pgwatch_tests.sweep.request import SweepRequest

CONFIRM_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.02
_KINDS: tuple[LeftoverKind, ...] = ("idle_in_transaction",)


@dataclass(frozen=True, slots=True)
class _Session:
    """A row of queries/sweep/sessions.sql."""

    pid: int
    backend_start: datetime
    state_change: datetime
    user_oid: int
    state: str
    application_name: str
    statement: str
    age_s: float
    holds_lease: bool


@dataclass(frozen=True, slots=True)
class _Signalled:
    """A row of queries/sweep/end_session.sql."""

    signalled: bool


@dataclass(frozen=True, slots=True)
class _Start:
    """A row of queries/locks/session_start.sql."""

    backend_start: datetime | None


@dataclass(frozen=True, slots=True)
class _Rights:
    """The row of queries/locks/signal_rights.sql."""

    asking: str
    owner: str | None
    owner_is_superuser: bool


def sweep_sessions(
    session: DatabaseSession, settings: Settings, request: SweepRequest, stopped: Stopped
) -> SweptOrphans:
    """Ends the database's sessions that are idle in a transaction for long; a dry run only reports them.

    Long is `request.min_age_s`, and at least what makes them a leftover (`leaks.leftovers`). Neither ours nor
    those that hold a lease. What our role can't see is in `not_checked`. Raises psycopg.Error if they can't
    be listed, ConnectionLostError and WorkCancelledError.
    """
    role = session.identity().role
    hidden = leftovers.look(session, settings, role, _KINDS).unchecked
    parameters = {
        "own_name": OWN_NAME,
        "at_least_s": max(request.min_age_s, leftovers.IDLE_IN_TRANSACTION_AFTER_S),
        "lease_key": LEASE_KEY,
    }

    def check(one: _Session) -> None:
        if one.holds_lease:
            raise OrphanKeptError("run_alive", "it holds a lease")

    def end(one: _Session) -> None:
        kept = _end(session, one)
        if kept is not None:
            raise OrphanKeptError(*kept)

    candidates = (
        Candidate(
            Orphan(
                "sessions",
                f"pid {one.pid}",
                removed=True,
                detail=leftovers.described(one.application_name, one.state, one.statement),
                age_s=one.age_s,
            ),
            partial(check, one),
            partial(end, one),
        )
        for one in session.ask("sweep/sessions", _Session, parameters)
    )
    return replace(
        sweep_each(candidates, request, stopped),
        not_checked=tuple(f"sessions idle in a transaction: {one.reason} ({one.hint})" for one in hidden),
    )


def _end(session: DatabaseSession, one: _Session) -> tuple[KeptReason, str] | None:
    """Ends the session. Returns why it is still there; None if it has ended."""
    parameters = {
        "pid": one.pid,
        "backend_start": one.backend_start,
        "state_change": one.state_change,
        "own_name": OWN_NAME,
        "lease_key": LEASE_KEY,
    }
    try:
        told = session.ask("sweep/end_session", _Signalled, parameters)
        if told and not told[0].signalled and _is_there(session, one):
            return "refused", "the server couldn't signal it"
        until_s = time.monotonic() + CONFIRM_WITHIN_S
        while _is_there(session, one):
            if not told:
                return "changed", "it is active again"
            if time.monotonic() > until_s:
                return "refused", f"it was told to end, but is still there after {CONFIRM_WITHIN_S:g} s"
            session.pause(_LOOK_EVERY_S)
    except errors.InsufficientPrivilege as error:
        return "refused", _needed_right(session, one, error)
    except psycopg.Error as error:
        return "refused", full_server_message(error)
    return None


def _is_there(session: DatabaseSession, one: _Session) -> bool:
    starts = session.ask("locks/session_start", _Start, {"pid": one.pid})
    return any(start.backend_start == one.backend_start for start in starts)


def _needed_right(session: DatabaseSession, one: _Session, error: psycopg.Error) -> str:
    try:
        [rights] = session.ask("locks/signal_rights", _Rights, {"user_oid": one.user_oid})
    except psycopg.Error:
        return full_server_message(error)
    if rights.owner_is_superuser or rights.owner is None:
        return f"it belongs to the superuser {rights.owner}: needs a superuser"
    return (
        f"needs pg_signal_backend (GRANT pg_signal_backend TO {rights.asking}) or membership in its role "
        f"(GRANT {rights.owner} TO {rights.asking})"
    )
