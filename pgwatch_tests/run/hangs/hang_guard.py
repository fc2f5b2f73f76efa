"""The hang guard: tells the lock tree in the job's log while the suite hangs, and may end the root.

A thread of `pgwatch-tests run` polls the server by itself, seldom: so it works on where the recorder was
killed, or there is none. Nothing that goes wrong here reaches the suite.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Session
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.locks.snapshot.poll_interval import retry_pauses_s
from pgwatch_tests.record.run_summary import Hang
from pgwatch_tests.run.guards import HangLimit, Note
from pgwatch_tests.run.hangs.hangs import HangWatch, Told
from pgwatch_tests.run.hangs.root_ending import EndingResult, RunProcesses, end_root, is_of_run
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.plain_text import plain

_NAMES_WITHIN_S = 2.0  # a hang is told once, and a busy machine is late with names
_LONGEST_POLL_S = 2.0
_SHORTEST_POLL_S = 0.1
_POLLS_IN_LIMIT = 5
_MOST_HANGS = 100
_MOST_ENDED = 5
_MOST_LOOKED_AT = 20

Tell = Callable[[str], None]
"""Writes lines of plain text into the job's log, at once."""


@dataclass(slots=True)
class _Open:
    """A hang that goes on."""

    number: int
    """Its place among the hangs that were told."""
    result: EndingResult | None = None
    """Of the last attempt to end its root."""


class HangGuard:
    """Watches one run from `start` to `stop`."""

    def __init__(self, limit: HangLimit, processes: RunProcesses, tell: Tell, note: Note) -> None:
        """`tell` and `note` are called from the guard's thread."""
        self._limit = limit
        self._processes = processes
        self._tell = tell
        self._note = note
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = threading.Event()
        self._wake = asyncio.Event()
        self._hangs: list[Hang] = []
        self._passed: set[int] = set()
        """The quiet times that have passed, by their places among these."""
        self._open: dict[Party, _Open] = {}
        self._ours: dict[tuple[int, datetime | None], bool] = {}
        """Of sessions in other databases, by pid and start: whether they are the run's."""
        self._unknown: set[tuple[int, datetime | None]] = set()
        self.trouble = ""
        """Why it doesn't watch, or didn't at last; empty if it does."""

    def start(self, settings: Settings) -> None:
        """Begins to watch the server of the settings, which needn't be there yet. Returns at once."""
        self._thread = threading.Thread(
            target=self._run, args=(settings,), name="pgwatch-tests hang guard", daemon=True
        )
        self._thread.start()

    def stop(self, within_s: float = 1.0) -> tuple[Hang, ...]:
        """Ends the watch. Returns the hangs that were told, the first ones first.

        Of quiet times only one that has lasted until now is one.
        """
        self._stopped.set()
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(self._wake.set)
        if self._thread is not None:
            self._thread.join(within_s)
        return tuple(hang for number, hang in enumerate(self._hangs) if number not in self._passed)

    def _run(self, settings: Settings) -> None:
        try:
            asyncio.run(self._watch(settings))
        except Exception as error:  # noqa: BLE001 -- the suite goes on, whatever it is
            self.trouble = f"the hang guard has ended: {' '.join(str(error).split())}"
            self._tell(plain(self.trouble))

    async def _watch(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        watch = HangWatch(self._limit.after_s, self._is_ours)
        pause_s = min(_LONGEST_POLL_S, max(_SHORTEST_POLL_S, self._limit.after_s / _POLLS_IN_LIMIT))
        retries_s = retry_pauses_s()
        async with LiveSource(settings, spares_scarce_sessions=True) as source:
            while not self._stopped.is_set():
                try:
                    snapshot = await self._unless_stopped(source)
                    if snapshot is None:
                        return
                    told, graph, roots = watch.look(snapshot, time.monotonic())
                    await self._handle(settings, told, graph, roots)
                    if not watch.is_quiet:
                        self._went_on()
                    await self._look_whose(settings)
                    self.trouble, retries_s, sleep_s = "", retry_pauses_s(), pause_s
                except (PgwatchError, psycopg.Error) as error:
                    self.trouble = " ".join(str(error).split())
                    sleep_s = max(pause_s, next(retries_s))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), sleep_s)

    async def _unless_stopped(self, source: LiveSource) -> LockSnapshot | None:
        """Returns a poll; None if the end comes first."""
        reading = asyncio.create_task(source.read(_NAMES_WITHIN_S))
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait({reading, waking}, return_when=asyncio.FIRST_COMPLETED)
            return await reading if reading.done() else None
        finally:
            for task in (reading, waking):
                task.cancel()

    async def _handle(
        self, settings: Settings, told: Sequence[Told], graph: LockGraph, roots: Sequence[Party]
    ) -> None:
        at = graph.snapshot.sampled_at
        self._open = {root: self._open[root] for root in roots if root in self._open}
        for one in told:
            self._tell(one.text)
            if one.is_new and len(self._hangs) < _MOST_HANGS:
                if one.roots:
                    self._note("hang", one.text, at)
                self._hangs.append(Hang(at, one.lasted_s, one.text, kind="blocked" if one.roots else "quiet"))
                for root in one.roots:
                    self._open[root] = _Open(len(self._hangs) - 1)
        if self._limit.ends_root:
            for root in roots[:_MOST_ENDED]:
                await self._end(settings, graph, root)

    def _went_on(self) -> None:
        """Forgets quiet times that have passed: a suite may do other things than talk to its database."""
        self._passed.update(number for number, hang in enumerate(self._hangs) if hang.kind == "quiet")

    async def _end(self, settings: Settings, graph: LockGraph, root: Party) -> None:
        """Ends a root, or tells once why it isn't ended."""
        known = self._open.get(root)
        if known is None or known.result in ("ended", "left"):
            return
        ending = await asyncio.to_thread(
            end_root, settings, graph, root, self._limit.after_s, self._processes
        )
        if ending.result == known.result:
            return
        known.result = ending.result
        self._tell(plain(ending.sentence))
        hang = self._hangs[known.number]
        if ending.result == "ended":
            self._note("root_ended", ending.sentence, None)  # a while after that poll
            hang = replace(hang, ended_root=graph.who(root))
        self._hangs[known.number] = replace(hang, ending=ending.sentence)

    def _is_ours(self, session: Session) -> bool:
        """Whether a session in another database is the run's; one that isn't known yet is looked at next."""
        key = session.pid, session.backend_start
        if key not in self._ours:
            self._unknown.add(key)
        return self._ours.get(key, False)

    async def _look_whose(self, settings: Settings) -> None:
        for key in list(self._unknown)[:_MOST_LOOKED_AT]:
            self._ours[key] = await asyncio.to_thread(is_of_run, settings, key[0], self._processes)
        self._unknown.clear()
