"""Sessions that block each other, and a server that remembers what is asked of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from textual.pilot import Pilot

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.locks.actions.action import Action, Outcome
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, LockTag, PreparedTransaction
from pgwatch_tests.tui.app import Dashboard
from tests.locks.snapshots import edge, session, snapshot
from tests.tui.driving import Feed, leak_report, screen_text
from tests.waiting import PATIENCE_S


@dataclass
class Doing:
    """Stands for the server: remembers what is asked for, answers with `outcome`, or never if `stuck`."""

    outcome: Outcome | PgwatchError = field(default_factory=lambda: Outcome("done", "pid 1 has ended."))
    stuck: bool = False
    asked: list[Action] = field(default_factory=list)

    async def __call__(self, action: Action) -> Outcome:
        self.asked.append(action)
        if self.stuck:
            await asyncio.Event().wait()
        if isinstance(self.outcome, PgwatchError):
            raise self.outcome
        return self.outcome


_ROW = LockTag("transactionid", transactionid=700)
"""The first waiter for a row waits for its holder's transaction."""


def locked(state: str = "idle in transaction", name: str = "") -> LockSnapshot:
    """Session 1 blocks 2, which blocks 3."""
    root = session(1, name or "pytest:gw0 tests/test_booking.py::test_root", state)
    return settle(None, snapshot((edge(2, 1, tag=_ROW), edge(3, 2, tag=_ROW)), (root,)))


def with_prepared(gid: str = "it's 100%") -> LockSnapshot:
    found = settle(None, snapshot((edge(2, 0, tag=_ROW, gid=gid),)))
    return replace(found, prepared=(PreparedTransaction(gid, 5, 10, "test_app", "app", 12.0),))


def dashboard(locks: LockSnapshot, doing: Doing | None) -> tuple[Feed, Dashboard]:
    source = Feed(locks, leak_report())
    return source, source.dashboard(act=doing)


async def until_drawn(pilot: Pilot[int], words: str) -> str:
    """The screen, once it shows `words`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while words not in (drawn := screen_text(pilot.app)):
        assert time.monotonic() < deadline_s, f"{words!r} isn't in:\n{drawn}"
        await pilot.pause(0.01)
    return drawn


TABLE = LockTag("relation", 5, 16400)


def chain() -> LockSnapshot:
    """Session 1 blocks 2, which blocks 3 by another lock and 4 in the queue for the same."""
    root = session(1, "pytest:gw0 tests/test_a.py::test_root", "idle in transaction")
    return settle(
        None, snapshot((edge(2, 1), edge(3, 2, tag=TABLE), edge(4, 1), edge(4, 2, kind="soft")), (root,))
    )
