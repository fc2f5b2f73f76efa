"""A watch that polls beside a suite, and what it does for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pgwatch_tests.errors import CannotConnectError
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings


class Watching:
    """A watch in a loop that polls beside the statements of a test."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.latest: LockSnapshot | None = None
        self.polls = 0
        self.errors: list[str] = []
        self.opened: list[str | None] = []
        """The databases that a session was opened in."""

    def beside(self, suite: Callable[[], None], *, polls: bool = True) -> None:
        """Polls once, then every 50 ms (or not, without `polls`) until `suite` has returned in a thread."""

        async def scenario() -> None:
            async with LiveSource(Settings(dsn=Dsn(self._dsn, "the test"))) as source:
                self._note_what_is_opened(source)
                await self._poll(source)
                running = asyncio.create_task(asyncio.to_thread(suite))
                while not running.done():
                    if polls:
                        await self._poll(source)
                    await asyncio.wait({running}, timeout=0.05)
                await running

        asyncio.run(scenario())

    async def _poll(self, source: LiveSource) -> None:
        try:
            self.latest = await source.read()
            self.polls += 1
        except CannotConnectError as error:
            self.errors.append(str(error))

    def _note_what_is_opened(self, source: LiveSource) -> None:
        connect: Callable[..., Awaitable[object]] = source.attempts.connect

        async def noting(limits: object, database: str | None = None, **more: object) -> object:
            self.opened.append(database)
            return await connect(limits, database, **more)

        source.attempts.connect = noting  # type: ignore[method-assign,assignment]  # the same, and a note

    def knows(self, target: str) -> bool:
        """Whether the latest poll has a wait for `target`."""
        snapshot = self.latest
        return snapshot is not None and any(edge.lock.target == target for edge in snapshot.edges)
