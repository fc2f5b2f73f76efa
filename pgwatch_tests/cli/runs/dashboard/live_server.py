"""The live server, as the dashboard reads it and acts on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from pgwatch_tests.cli.runs.daemon_thread import in_daemon_thread
from pgwatch_tests.cli.runs.dashboard.counted_database import CountedDatabase
from pgwatch_tests.cli.runs.dashboard.seen_names import SeenNames
from pgwatch_tests.errors import CannotConnectError, NotCheckedError
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.naming.catalog_lookups import LIMITS
from pgwatch_tests.locks.snapshot.glance import Glance
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Settings

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import FoundRows, LeakReport
    from pgwatch_tests.locks.actions.action import Action, Outcome


class LiveServer:
    """Reads locks from `source`; counts leaks where `counted` leads. `first` is the source's first answer.

    All methods raise CannotConnectError, or NotCheckedError with the reason.
    """

    def __init__(
        self,
        source: LiveSource,
        settings: Settings,
        counted: CountedDatabase,
        first: asyncio.Task[LockSnapshot],
    ) -> None:
        self._source = source
        self._settings = settings
        self._counted = counted
        self._first: asyncio.Task[LockSnapshot] | None = first
        self._seen = SeenNames()

    async def read_locks(self) -> LockSnapshot:
        """The snapshot of a poll; that of the first one, which is under way, at the first call."""
        first, self._first = self._first, None
        snapshot = await (first or self._source.read())
        self._seen.add(snapshot)
        return snapshot

    async def glance(self, sessions: bool) -> Glance | None:
        """A glance at what waits, and at all `sessions`; None where all has to be read."""
        return await self._source.glance(sessions=sessions)

    async def read_leaks(self) -> LeakReport:
        """The leaks of the counted database."""
        await self._expect_a_place("counted")
        from pgwatch_tests.leaks.gate import DEFAULT_KINDS
        from pgwatch_tests.leaks.scan import LeakScan
        from pgwatch_tests.sweep.orphans.inspection import why_never_swept

        settings = self._counted.settings
        scan = LeakScan(settings, kinds=DEFAULT_KINDS, names=self._seen.all)

        def count() -> LeakReport:
            report = scan.run()
            # What no sweep removes isn't offered to one.
            return replace(report, why_not_swept=why_never_swept(settings, report.database))

        try:
            return await in_daemon_thread(count, "leak scan")
        except asyncio.CancelledError:
            scan.cancel()
            raise

    async def read_leaked(self, table: str) -> FoundRows:
        """Leaked rows of one table of the counted database."""
        await self._expect_a_place("read")
        from pgwatch_tests.leaks.found_rows import FoundRowsReader

        reader = FoundRowsReader(self._counted.settings, table, self._seen.all)
        try:
            return await in_daemon_thread(reader.run, "leaked rows")
        except asyncio.CancelledError:
            reader.cancel()
            raise

    async def act(self, action: Action) -> Outcome:
        """Does a confirmed action."""
        from pgwatch_tests.locks.actions.execution import act

        try:
            return await act(self._settings, action)
        except CannotConnectError:
            # With no place left on the server, the poll's own has to do.
            async with self._source.standing_aside():
                return await act(self._settings, action)

    async def _expect_a_place(self, done: str) -> None:
        if self._source.is_wanted and self._counted.settings is self._settings:
            raise NotCheckedError(f"the database is being dropped, altered or copied: {done} after that")
        # A scan's own attempt to connect ends with the scan, and may leave a waiting backend behind.
        await self._source.attempts.probe(LIMITS)
