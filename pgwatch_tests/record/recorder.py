"""The recorder: polls a server, and writes a recording of it, for as long as it isn't told to stop.

    python -P -m pgwatch_tests.record.recorder

As a process of its own it is told by its standard input what to write and to watch (`recorder_messages.py`),
and tells on its standard output what it sees. It ends, with a whole file, at SIGTERM, when the pipe ends, and
when the parent process is gone, however that was ended.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.graph.settled_waits import SECOND_LOOK_S
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.locks.snapshot.poll_interval import PollPace, retry_pauses_s
from pgwatch_tests.locks.watch.sampler import first_line, when_parent_is_gone
from pgwatch_tests.record.model import Mark
from pgwatch_tests.record.recorder_messages import (
    AddLeaks,
    Begin,
    End,
    LeaveMark,
    Lost,
    Order,
    Polled,
    Report,
    Trouble,
    Watch,
    order_of,
    to_line,
)
from pgwatch_tests.record.recording.values import from_json
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.settings.load import Dsn, Settings

_AT_WORK_S: Final = 0.25
"""The pause between polls while sessions are at work, if not told otherwise: longer tests are all seen."""
_MOST_AT_WORK_S: Final = 2.0
"""The longest pause while they are: what begins to wait in it is glanced for."""
_AT_REST_S: Final = 1.0
_SHARE_OF_CORE: Final = 0.009
_COSTS_COMPARED: Final = 8
_RESTS_AFTER_S: Final = 2.0
_GLANCE_EVERY_S: Final = 0.25
_TELL_EVERY_S: Final = 1.0
_LONGEST_REASON: Final = 300


def machine_time_s() -> float:
    """Returns this machine's time, in seconds since 1970."""
    return real_time_ns() / 1e9


class RecorderPace:
    """The pauses between the polls of a recorder; `every_s`: that while nothing waits, None as needed.

    As needed is often while sessions are at work, but not so often that it takes more than its share of a
    core: `cpu_s` tells the processor time that was used so far.
    """

    def __init__(self, every_s: float | None = None, cpu_s: Callable[[], float] = time.process_time) -> None:
        self._every_s = every_s
        self._cpu_s = cpu_s
        self._used_s = cpu_s()
        self._costs_s: deque[float] = deque(maxlen=_COSTS_COMPARED)
        self._pace = PollPace()

    def pause_s(self, snapshot: LockSnapshot) -> float:
        """Returns the seconds to sleep after this poll."""
        used_s = self._cpu_s()
        self._costs_s.append(used_s - self._used_s)
        self._used_s = used_s
        every_s = self._every_s or self._as_needed_s(snapshot)
        if snapshot.blocked:
            every_s = min(every_s, _AT_REST_S)
        pause_s = self._pace.pause_s(snapshot.blocked, snapshot.spent_s, every_s)
        # What isn't sure yet may be over soon.
        is_sure = snapshot.blocked or not (snapshot.groups or snapshot.wanted_databases)
        return pause_s if is_sure else min(pause_s, SECOND_LOOK_S)

    def _as_needed_s(self, snapshot: LockSnapshot) -> float:
        if not _is_at_work(snapshot):
            return _AT_REST_S
        mean_s = sum(self._costs_s) / len(self._costs_s)
        return min(max(_AT_WORK_S, mean_s / _SHARE_OF_CORE), _MOST_AT_WORK_S)


class Recorder:
    """Polls the server of `settings` into `writer`, until it is told to stop. `tell` gets the reports."""

    def __init__(
        self,
        settings: Settings,
        writer: RecordingWriter,
        every_s: float | None = None,
        tell: Callable[[Report], None] = lambda _: None,
        *,
        spares_scarce_sessions: bool = False,
    ) -> None:
        """`spares_scarce_sessions`: it records nothing where its role may have only a few at once."""
        self._settings = settings
        self._spares_scarce_sessions = spares_scarce_sessions
        self._writer = writer
        self._tell = tell
        self._pace = RecorderPace(every_s)
        self._stopped = asyncio.Event()
        self._trouble = ""
        self._told = (-1, -1)
        self._told_s = float("-inf")
        self.polls = 0
        self.lost: PgwatchError | None = None
        """Why the last poll failed; None if it didn't."""

    def stop(self) -> None:
        """Ends the polling soon; called in the event loop's thread."""
        self._stopped.set()

    async def run(self, for_s: float | None = None) -> None:
        """Polls until it is stopped, or `for_s` seconds are over."""
        if for_s is not None:
            asyncio.get_running_loop().call_later(for_s, self.stop)
        retries_s = retry_pauses_s()
        async with LiveSource(self._settings, spares_scarce_sessions=self._spares_scarce_sessions) as source:
            while not self._stopped.is_set():
                try:
                    polling = asyncio.create_task(self._poll(source))
                    stopping = asyncio.create_task(self._stopped.wait())
                    await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    stopping.cancel()
                    if not polling.done():
                        polling.cancel()
                        return
                    pause_s = await polling
                    self.lost, retries_s = None, retry_pauses_s()
                except PgwatchError as error:
                    self.lost, pause_s = error, next(retries_s)
                    reason = " ".join(str(error).split())[:_LONGEST_REASON]
                    self._writer.interrupt(reason, machine_time_s())
                    self._tell(Lost(reason))
                self._tell_trouble()
                await self._sleep(pause_s)

    async def _poll(self, source: LiveSource) -> float:
        """Polls once, then glances as long as nothing waits. Returns in how many seconds to poll again."""
        began_s = time.monotonic()
        snapshot = await source.read()
        self._writer.add(snapshot, machine_time_s())
        self.polls += 1
        self._tell_poll(snapshot)
        pause_s = self._pace.pause_s(snapshot)
        if snapshot.groups or snapshot.wanted_databases:
            return pause_s
        until_s = began_s + pause_s
        while (left_s := until_s - time.monotonic()) > _GLANCE_EVERY_S:
            await self._sleep(_GLANCE_EVERY_S)
            looked_s = machine_time_s()
            if self._stopped.is_set() or not await source.is_quiet():
                return 0.0
            self._writer.add_quiet(looked_s)
        return max(0.0, left_s)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def _tell_poll(self, snapshot: LockSnapshot) -> None:
        active = sum(one.state not in ("idle", None) for one in snapshot.clients)
        now_s = time.monotonic()
        if (snapshot.blocked, active) == self._told and now_s < self._told_s + _TELL_EVERY_S:
            return
        self._told, self._told_s = (snapshot.blocked, active), now_s
        longest_s = max((group.wait_s or 0.0 for group in snapshot.shown_groups), default=0.0)
        self._tell(Polled(snapshot.sampled_at, snapshot.blocked, longest_s, active))

    def _tell_trouble(self) -> None:
        if self._writer.trouble != self._trouble:
            self._trouble = self._writer.trouble
            self._tell(Trouble(self._trouble))


def _is_at_work(snapshot: LockSnapshot) -> bool:
    """Whether a client's session runs something, is in a transaction, or was within the last seconds."""
    return any(
        session.state != "idle" or (session.state_age_s or 0.0) < _RESTS_AFTER_S
        for session in snapshot.clients
    )


class _Process:
    """The recorder as a process: takes orders, polls once it knows what, writes the file in one thread."""

    def __init__(self, writer: RecordingWriter, every_s: float | None) -> None:
        self._writer = writer
        self._every_s = every_s
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._is_ending = False
        self._recorder: Recorder | None = None
        self._recording: asyncio.Task[None] | None = None
        self.why_ended = ""

    async def run(self, parent: int) -> None:
        """Takes orders until there will be none."""
        loop = asyncio.get_running_loop()

        def put(order: Order, why: str = "") -> None:
            def take() -> None:
                if isinstance(order, End) and not self._is_ending:
                    self._is_ending, self.why_ended = True, why
                self._orders.put_nowait(order)

            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(take)

        def orphaned() -> None:
            put(End(), "whoever had started it was gone")

        loop.add_signal_handler(signal.SIGTERM, lambda: put(End(), "SIGTERM"))
        threading.Thread(target=_read_orders, args=[put, orphaned], daemon=True).start()
        when_parent_is_gone(parent, orphaned)
        order: Order = await self._orders.get()
        while not isinstance(order, End):
            self._take(order)
            order = await self._orders.get()
        if self._recorder is not None and self._recording is not None:
            self._recorder.stop()
            await self._recording

    def _take(self, order: Order) -> None:
        match order:
            case Watch(dsn, source, tests):
                if self._recorder is None:
                    settings = Settings(Dsn(dsn, source), tests=None if tests is None else Path(tests))
                    self._recorder = Recorder(
                        settings, self._writer, self._every_s, _tell, spares_scarce_sessions=True
                    )
                    self._recording = asyncio.create_task(self._record(self._recorder))
            case LeaveMark(kind, text, at):
                self._writer.mark(Mark(at or self._writer.server_time(machine_time_s()), kind, text))
            case AddLeaks(report):
                self._writer.add_leaks(from_json(report, LeakReport))

    async def _record(self, recorder: Recorder) -> None:
        try:
            await recorder.run()
        except PgwatchError as error:  # the settings are wrong
            self._writer.interrupt(str(error), machine_time_s())
            _tell(Lost(str(error)))


def _read_orders(put: Callable[[Order], None], orphaned: Callable[[], None]) -> None:
    with os.fdopen(os.dup(0), "rb") as pipe:
        for line in pipe:
            try:
                order = order_of(line)
            except (ValueError, TypeError, KeyError):
                continue  # of a newer program
            put(order)
            if isinstance(order, End):
                return
    orphaned()


def _tell(report: Report) -> None:
    with suppress(OSError):  # nobody listens
        os.write(1, to_line(report))


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
    try:
        begin = order_of(line)
        if not isinstance(begin, Begin):
            return 2
        writer = RecordingWriter(Path(begin.path), begin.header, begin.max_bytes)
    except (PgwatchError, OSError) as error:
        _tell(Trouble(str(error)))
        return 1
    process = _Process(writer, begin.every_s)
    try:
        asyncio.run(process.run(parent))
    except Exception as error:  # noqa: BLE001  # the suite goes on, and is told
        writer.interrupt(type(error).__name__, machine_time_s())
        _tell(Trouble(f"the recorder failed: {type(error).__name__}"))
    writer.close(process.why_ended, machine_time_s())
    if writer.trouble:
        _tell(Trouble(writer.trouble))
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Threads that wait for a pipe don't hold it up.
    os._exit(code)
