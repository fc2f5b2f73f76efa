"""Endings of actors whose run is over: asked for, then forced, at last those of their transactions alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import psycopg
from psycopg.pq import TransactionStatus

from pgwatch_tests.testing.interleaving.actor import Actor, Session
from pgwatch_tests.testing.interleaving.monitor import Monitor

_GRACE_S = 1.0
"""How long actors are asked to end before they are interrupted."""
_FAREWELL_S = 0.5
"""How long the server may take to end a session."""


def end_actors(
    actors: Sequence[Actor],
    monitors: Mapping[str, Monitor],
    changed: threading.Condition,
    timeout_s: float,
) -> str:
    """Ends all actors, and the open transactions of those that can't be ended: no lock of theirs is left.

    `monitors` are those of each server. Returns who couldn't be ended, in words; empty: all have ended, and
    their sessions that they have closed.
    """
    deadline = time.monotonic() + min(_GRACE_S, timeout_s)
    for actor in actors:
        actor.is_stopped = True
        actor.open_gate()
    running = [one for one in actors if one.has_started and one.state != "done"]
    while running and time.monotonic() < deadline:
        for actor in running:
            _cancel(actor)
        with changed:
            changed.wait(0.01)
        running = [one for one in running if one.state != "done"]
    still = [one for one in running if not one.join(0.2)]
    for actor in actors:
        if actor not in still and actor.has_started:
            with suppress(Exception):  # whatever a driver says of a lost connection
                actor.roll_back_left(0.5)
    told = [f"{one.name} couldn't be ended and still runs{_end_transactions(one, monitors)}" for one in still]
    sessions = [session for actor in actors for session in actor.sessions.values() if session.is_closed]
    _wait_while(lambda: any(_is_there(one) for one in sessions))
    return ". ".join(told)


def _cancel(actor: Actor) -> None:
    session = actor.session
    if session is None or session.monitor is None or session.is_closed:
        return
    if session.connection.status != TransactionStatus.ACTIVE:
        return
    try:
        session.monitor.cancel(session.pid)
    except psycopg.Error:
        session.connection.cancel()


def _end_transactions(actor: Actor, monitors: Mapping[str, Monitor]) -> str:
    """Ends the sessions in which an actor has a transaction open. Returns what was done, in words.

    A session that it has given back to a pool may be somebody else's by now: it is left alone.
    """
    ended = left = 0
    for session in list(actor.sessions.values()):
        if not (session.is_open and session.in_transaction):
            continue
        monitor = session.monitor or monitors.get(session.connection.server)
        with suppress(psycopg.Error):
            if monitor is not None and monitor.knows(session.pid) and monitor.end(session.pid):
                _wait_while(partial(monitor.has, session.pid))
                ended += 1
                continue
        left += 1
    parts = ["; its session was ended (pg_terminate_backend), and with it its open transaction"] * bool(ended)
    parts += ["; its transaction stays open until its function returns"] * bool(left)
    return "".join(parts)


def _is_there(session: Session) -> bool:
    """Whether the server still has a session, as far as it can be asked."""
    try:
        return session.monitor is not None and session.monitor.has(session.pid)
    except psycopg.Error:
        return False


def _wait_while(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _FAREWELL_S
    while holds() and time.monotonic() < deadline:
        time.sleep(0.002)
