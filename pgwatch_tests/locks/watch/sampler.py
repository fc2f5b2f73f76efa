"""The sampler: a process that polls the lock graph for a test run, and keeps its journal.

    python -P -m pgwatch_tests.locks.watch.sampler

Its standard input is a pipe from whoever started it. The first line, JSON, says what to watch; more lines may
name tests, whose ids are cut off in the names of sessions. When the pipe ends, or the parent process is gone,
however that was ended, so does the sampler. The connection string comes this way since others can read a
command line. Nothing of what goes wrong here reaches the suite: the journal says it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.locks.graph.settled_waits import SECOND_LOOK_S
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.locks.snapshot.poll_interval import PollPace, retry_pauses_s
from pgwatch_tests.locks.watch.journal_entries import JournalEntries
from pgwatch_tests.locks.watch.wait_journal import JournalWriter, Trouble
from pgwatch_tests.settings.load import Dsn, Settings

GLANCE_EVERY_S = 0.25
"""How often it looks whether anything waits at all, while nothing does."""
READ_EVERY_S = 2.0
"""How often it reads all then: a wait for a database, which the lock table doesn't show, lasts 5 s."""
_PACE_S = 1.0
_LOOK_FOR_PARENT_S = 0.5
_LONGEST_REASON = 300


def now_s() -> float:
    """Returns this machine's time, in seconds since 1970."""
    return real_time_ns() / 1e9


class Sampler:
    """Polls until it is told to stop."""

    def __init__(self, settings: Settings, journal: JournalWriter) -> None:
        self._settings = settings
        self._journal = journal
        self._entries = JournalEntries()
        self._pace = PollPace()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Ends the polling soon; called in the event loop's thread."""
        self._stopped.set()

    async def run(self) -> None:
        """Polls: often while anything waits, else seldom, with glances in between."""
        retries_s = retry_pauses_s()
        self._entries.begin(now_s())
        async with LiveSource(self._settings, spares_scarce_sessions=True) as source:
            while not self._stopped.is_set():
                try:
                    polling = asyncio.create_task(self._poll(source))
                    stopping = asyncio.create_task(self._stopped.wait())
                    await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    stopping.cancel()
                    if not polling.done():
                        polling.cancel()
                        return
                    await self._sleep(await polling)
                    retries_s = retry_pauses_s()
                except PgwatchError as error:
                    self._trouble(error)
                    await self._sleep(next(retries_s))

    async def _poll(self, source: LiveSource) -> float:
        """Reads once, then glances as long as nothing waits. Returns in how many seconds to read again."""
        snapshot = await source.read()
        for entry in self._entries.of(snapshot, now_s()):
            self._journal.write(entry)
        to_next_s = self._pace.pause_s(max(1, snapshot.blocked), snapshot.spent_s, _PACE_S)
        if snapshot.groups or snapshot.wanted_databases:
            # What isn't sure yet may be over soon.
            return to_next_s if snapshot.blocked else min(to_next_s, SECOND_LOOK_S)
        for _ in range(round(READ_EVERY_S / GLANCE_EVERY_S) - 1):
            await self._sleep(GLANCE_EVERY_S)
            at = now_s()
            if self._stopped.is_set() or not await source.is_quiet():
                return 0.0
            self._journal.write(self._entries.of_nothing(at))
        return GLANCE_EVERY_S

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def _trouble(self, error: Exception) -> None:
        self._journal.write(Trouble(now_s(), " ".join(str(error).split())[:_LONGEST_REASON]))


def _when_alone(told: int, parent: int, then: Callable[[], None]) -> None:
    """Calls `then` once the pipe `told` has ended, or the parent is gone: a child of it may have the pipe."""

    def wait_for_end() -> None:
        with suppress(OSError):
            while os.read(told, 65536):
                pass
        then()

    threading.Thread(target=wait_for_end, daemon=True).start()
    when_parent_is_gone(parent, then)


def when_parent_is_gone(parent: int, then: Callable[[], None]) -> None:
    """Calls `then`, in a thread of its own, once this process has another parent than that one."""

    def wait_for_parent() -> None:
        while os.getppid() == parent:
            threading.Event().wait(_LOOK_FOR_PARENT_S)
        then()

    threading.Thread(target=wait_for_parent, daemon=True).start()


async def _watch(settings: Settings, journal: JournalWriter, parent: int) -> None:
    sampler = Sampler(settings, journal)
    loop = asyncio.get_running_loop()

    def end() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(sampler.stop)

    _when_alone(0, parent, end)
    await sampler.run()


def first_line() -> bytes:
    """Returns the first line of standard input, and takes no more of it; empty if there is none."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


def main() -> int:
    """Runs the process; returns its exit code."""
    parent = os.getppid()
    # Ctrl-C is for the suite; its end is ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Modules are there for good: no look for garbage goes through them.
    gc.collect()
    gc.freeze()
    line = first_line()
    if not line:
        return 0
    told = json.loads(line)
    journal = JournalWriter(Path(told["journal"]))
    try:
        tests = told.get("tests")
        settings = Settings(Dsn(told["dsn"], told["source"]), tests=None if tests is None else Path(tests))
        asyncio.run(_watch(settings, journal, parent))
    except Exception as error:  # noqa: BLE001
        # The suite goes on unwatched, and is told so.
        text = " ".join(str(error).split()) if isinstance(error, PgwatchError) else type(error).__name__
        journal.write(Trouble(now_s(), text[:_LONGEST_REASON]))
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Threads that wait for a pipe don't hold it up.
    os._exit(code)
