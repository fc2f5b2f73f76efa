"""A dashboard fed by hand: each poll returns, or raises, what the test put in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from textual import events
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Static

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.model import LeakReport, Skipped, TableLeak
from pgwatch_tests.locks.actions.action import Action, Outcome
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.screens.detail import ReadHeld
from pgwatch_tests.tui.screens.leak import ReadRows
from pgwatch_tests.tui.screens.question import QuestionScreen
from pgwatch_tests.tui.session_actions import ReadRights
from pgwatch_tests.tui.tabs.sweep_desk import SweepDesk
from tests.locks.snapshots import edge, session, snapshot
from tests.waiting import PATIENCE_S

T = TypeVar("T")
Act = Callable[[Action], Awaitable[Outcome]]
NEVER = 10_000.0
"""Seconds: such a pace never polls by itself in a test."""


@dataclass
class Feed:
    """Answers polls. `stuck` makes them hang for ever, as a stopped server does."""

    locks: LockSnapshot | PgwatchError
    leaks: LeakReport | PgwatchError
    stuck: bool = False
    polls: int = 0
    now_s: float = 0.0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def read_locks(self) -> LockSnapshot:
        self.polls += 1
        self.asked.set()
        if self.stuck:
            await asyncio.Event().wait()
        return _answer(self.locks)

    async def read_leaks(self) -> LeakReport:
        return _answer(self.leaks)

    def clock(self) -> float:
        return self.now_s

    def dashboard(
        self,
        export_to: Path | None = None,
        refresh_s: float = NEVER,
        act: Act | None = None,
        sweeps: SweepDesk | None = None,
        read_leaked: ReadRows | None = None,
        read_rights: ReadRights | None = None,
        read_held: ReadHeld | None = None,
    ) -> Dashboard:
        """The dashboard that reads from here."""
        return Dashboard(
            self.read_locks,
            self.read_leaks,
            act=act,
            sweeps=sweeps,
            read_leaked=read_leaked,
            read_rights=read_rights,
            read_held=read_held,
            refresh_s=refresh_s,
            clock=self.clock,
            export_to=export_to,
        )


def _answer(value: T | PgwatchError) -> T:
    if isinstance(value, PgwatchError):
        raise value
    return value


def leak_report(*tables: TableLeak, skipped: tuple[Skipped, ...] = ()) -> LeakReport:
    """A report with those tables in it."""
    checked_at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    return LeakReport(checked_at, "18.1", "test_app", ("test email",), 12, tables, skipped, 0.1)


def blocked_snapshot(*, waiters: int = 2, after_s: float = 0.0) -> LockSnapshot:
    """Sessions 2, 3 and so on wait for a row of session 1."""
    edges = tuple(edge(pid, 1, target="row of accounts (id=42)") for pid in range(2, 2 + waiters))
    root = session(1, "pytest:gw0 tests/test_booking.py::test_root", "idle in transaction")
    return settle(None, snapshot(edges, (root,), after_s))


def text_of(app: App[int], selector: str) -> str:
    """What a Static of the base screen says."""
    return str(app.screen_stack[0].query_one(selector, Static).render())


def screen_text(app: App[int]) -> str:
    """The whole screen as it is drawn; each of its lines, also an empty last one, ends with a line break."""
    lines = app.screen._compositor.render_strips()
    return "".join("".join(segment.text for segment in line).rstrip() + "\n" for line in lines)


async def until(pilot: Pilot[int], condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Returns once `condition` is true; raises AssertionError with the screen if it takes too long."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, screen_text(pilot.app)
        await pilot.pause(0.01)


def dialog_text(app: App[int]) -> str:
    """All that a dialog says, in one line."""
    parts = (str(part.render()) for part in app.screen.query("#box Static").results(Static))
    return " ".join(" ".join(parts).split())


def takes_yes(app: App[int]) -> bool:
    """Whether there is a question that `y` would answer now."""
    screen = app.screen
    return isinstance(screen, QuestionScreen) and "y yes" in str(screen.query_one("#box").border_subtitle)


async def confirm(pilot: Pilot[int]) -> None:
    """Answers the question with yes, once that is taken for an answer."""
    await until(pilot, lambda: takes_yes(pilot.app))
    await pilot.press("y")


def burst(app: App[int], *keys: str) -> None:
    """Keys that were typed in one go: all are there before the first one has its effect."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))
