"""Records the demo: the moment in which most is blocked."""

from __future__ import annotations

import asyncio
import time

from pgwatch_tests.demo.run import running_demo
from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from screenshots.recording import Recording

_FOR_S = 30.0
_MIN_AGE_S = 10.0


def record() -> Recording:
    """The most telling snapshot of half a minute of the demo, with the leaks and a dry sweep at its end."""
    with running_demo(print) as demo:
        settings = Settings(dsn=Dsn(demo.dsn, "the demo"))
        best = asyncio.run(_best_moment(settings))
        leaks = scan(settings, kinds=DEFAULT_KINDS)
        return Recording((best,), leaks, Sweep(settings, SweepRequest(min_age_s=_MIN_AGE_S)).run())


async def _best_moment(settings: Settings) -> LockSnapshot:
    best: LockSnapshot | None = None
    until_s = time.monotonic() + _FOR_S
    async with LiveSource(settings) as source:
        while time.monotonic() < until_s:
            seen = await source.read()
            if best is None or _told(seen) > _told(best):
                best = seen
            await asyncio.sleep(0.25)
    assert best is not None
    return best


def _told(snapshot: LockSnapshot) -> int:
    edges = snapshot.shown_edges
    roots = {edge.blocker for edge in edges} - {edge.waiter for edge in edges}
    # Each root is another story, each waiter a part of one.
    return len(roots) + snapshot.blocked
