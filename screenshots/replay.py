"""The replay of a recording, drawn as SVG: the recording that tests make, without a server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from pgwatch_tests.record.replay.source import opened
from pgwatch_tests.tui.replay.app import ReplayDashboard
from pgwatch_tests.tui.replay.time_line import TimeLine
from screenshots.pictures import settled
from screenshots.zone import local_zone
from tests.record.recordings import BEGAN, leak_report, make_recording

PICTURE = "replay.svg"
_SIZE = (116, 30)
_AT_S = 6.5

T = TypeVar("T")


def draw() -> dict[str, str]:
    """The picture by its file name."""
    with local_zone("UTC"), tempfile.TemporaryDirectory() as name:
        path = make_recording(Path(name) / "suite.pgwatch", shard="db-1", leaks=leak_report())
        return {PICTURE: asyncio.run(_draw(path))}


async def _draw(path: Path) -> str:
    async def in_thread(work: Callable[[], T], name: str) -> T:
        return work()

    with opened([path]) as source:
        moment = BEGAN + timedelta(seconds=_AT_S)
        app = ReplayDashboard(source, moment, in_thread, clock=lambda: 0.0)
        async with app.run_test(size=_SIZE) as pilot:
            while app.data.leaks is None or not str(app.query_one(TimeLine).render()).strip():
                await pilot.pause()
            await settled(pilot)
            picture = app.export_screenshot(title="pgwatch-tests replay")
    return f"<!-- textual {version('textual')} -->\n{picture}"
