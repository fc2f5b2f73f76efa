"""The locks of the selected session, read beside the polls once the selection has rested."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from textual.app import App
from textual.timer import Timer

from pgwatch_tests.locks.model import HeldLock, LockSnapshot, Party, Session
from pgwatch_tests.locks.snapshot.poll_interval import MANY_WAITERS
from pgwatch_tests.reports.locks.held_text import held_text, unread_text
from pgwatch_tests.reports.render.detail_text import KeyName, Labelled
from pgwatch_tests.tui.screens.detail import ReadHeld
from pgwatch_tests.tui.workers import start_worker

REST_S = 0.5
"""Whoever moves through the rows in less doesn't read what is below them."""
_SOON_S, _AGAIN_S = 1.0, 5.0
_SLOW_POLL_S = 0.1
"""A server that takes so long to tell its locks has too many of them, or too little time."""


class SelectedLocks:
    """Keeps the locks of one session at a time. `told` is called once they are read.

    They are read again only while the dashboard draws what it polls: after 1 s at the earliest once the
    session has begun or ended something, after 5 s while it runs a statement. An idle one keeps its locks.
    """

    def __init__(self, app: App[int], read: ReadHeld, told: Callable[[], None]) -> None:
        self._app = app
        self._read = read
        self._told = told
        self._of: tuple[Party, datetime | None] | None = None
        self._held: tuple[HeldLock, ...] | None = None
        self._is_late = False
        self._due_at_s = math.inf
        self._begun_at_s = 0.0
        """When they were last read."""
        self._timer: Timer | None = None

    def text(self, snapshot: LockSnapshot, party: Party, keys: KeyName) -> Labelled | None:
        """What the locks of the selected session are, as far as that is known; None of a past one.

        Has them read in a moment if they aren't known, or not for long.
        """
        if snapshot.is_past:
            return None
        session = next((one for one in snapshot.sessions if one.pid == party.pid), None)
        began = None if session is None else session.backend_start
        if self._of != (party, began):
            self._of, self._held, self._is_late = (party, began), None, False
            self._read_in(REST_S)
        elif self._is_due(session) and not _disturbs(snapshot):
            self._read_in(0.0)
        if self._held is not None:
            return held_text(self._held, keys)
        if why := _disturbs(snapshot):
            self._stop()
            return unread_text(f"not read while {why}: {keys('detail')} reads them")
        return unread_text(f"not read in time: {keys('detail')} tries again" if self._is_late else "…")

    def _is_due(self, session: Session | None) -> bool:
        """Whether to read them again: soon once its session does something else, but seldom else."""
        now_s = time.monotonic()
        if self._due_at_s == math.inf:
            return False
        if self._held is None:
            return now_s >= self._due_at_s
        after_s = now_s - self._begun_at_s
        if is_another_state(session, after_s):
            return after_s >= _SOON_S
        return now_s >= self._due_at_s and (session is None or session.state in (None, "active"))

    def _read_in(self, seconds: float) -> None:
        self._stop()
        if seconds:
            self._timer = self._app.set_timer(seconds, self._begin)
        else:
            self._begin()

    def _stop(self) -> None:
        """Stops what is due; the next look has it read."""
        if self._timer is not None:
            self._timer.stop()
        self._due_at_s = 0.0

    def _begin(self) -> None:
        if self._of is not None:
            self._due_at_s, self._begun_at_s = math.inf, time.monotonic()
            start_worker(self._app, partial(self._look, self._of), "held locks", exclusive=True)

    async def _look(self, of: tuple[Party, datetime | None]) -> None:
        held = await self._read(of[0])
        if self._of == of:
            self._held, self._is_late = held if held is not None else self._held, held is None
            self._due_at_s = time.monotonic() + _AGAIN_S
            self._told()


def is_another_state(session: Session | None, after_s: float) -> bool:
    """Whether a session is in another state than so many seconds ago, with other locks then, too."""
    return session is not None and session.state_age_s is not None and session.state_age_s < after_s


def _disturbs(snapshot: LockSnapshot) -> str:
    """Why the locks of a session aren't read now: the lock table is locked while it is."""
    if snapshot.blocked > MANY_WAITERS:
        return f"{snapshot.blocked:,} sessions wait"
    if snapshot.wanted_databases:
        return "a database is dropped, altered or copied"
    return "the server is slow" if snapshot.spent_s > _SLOW_POLL_S else ""
