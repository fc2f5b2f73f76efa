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
_AGAIN_S = 5.0
_SLOW_POLL_S = 0.1
"""A server that takes so long to tell its locks has too many of them, or too little time."""


class SelectedLocks:
    """Keeps the locks of one session at a time. `told` is called once they are read.

    They are read again after 5 s at the earliest, and only while the dashboard draws what it polls. A
    session that has been idle since doesn't take or release any.
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
        elif (
            (now_s := time.monotonic()) >= self._due_at_s
            and (self._held is None or may_hold_others(session, now_s - self._begun_at_s))
            and not _disturbs(snapshot)
        ):
            self._read_in(0.0)
        if self._held is not None:
            return held_text(self._held, keys)
        if why := _disturbs(snapshot):
            self._stop()
            return unread_text(f"not read while {why}: {keys('detail')} reads them")
        return unread_text(f"not read in time: {keys('detail')} tries again" if self._is_late else "…")

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


def may_hold_others(session: Session | None, after_s: float) -> bool:
    """Whether a session may hold other locks than so many seconds ago: not if it has been idle since."""
    if session is None or session.state_age_s is None or session.state == "active":
        return True
    return session.state_age_s < after_s


def _disturbs(snapshot: LockSnapshot) -> str:
    """Why the locks of a session aren't read now: the lock table is locked while it is."""
    if snapshot.blocked > MANY_WAITERS:
        return f"{snapshot.blocked:,} sessions wait"
    if snapshot.wanted_databases:
        return "a database is dropped, altered or copied"
    return "the server is slow" if snapshot.spent_s > _SLOW_POLL_S else ""
