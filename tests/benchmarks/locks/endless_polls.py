"""The poller of the dashboard alone, for ever: a process for `busy_server` to start and end."""

from __future__ import annotations

import asyncio
import sys
import time

from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.locks.snapshot.poll_interval import pause_s
from pgwatch_tests.settings.load import Dsn, Settings

POLLED = "polled"


async def _poll(dsn: str) -> None:
    settings = Settings(Dsn(dsn, "benchmark"))
    async with LiveSource(settings) as source:
        while True:
            began_s = time.monotonic()
            snapshot = await source.read()
            print(POLLED, snapshot.blocked, flush=True)
            await asyncio.sleep(pause_s(snapshot.blocked, time.monotonic() - began_s, settings.refresh_s))


if __name__ == "__main__":
    asyncio.run(_poll(sys.argv[1]))
