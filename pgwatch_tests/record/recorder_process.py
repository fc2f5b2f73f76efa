"""The recorder's process, as whoever runs a suite starts, tells and ends it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING

from pgwatch_tests.record.model import MarkKind, RecordingHeader
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
    report_of,
    to_line,
)

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import LeakReport

_PATIENCE_S = 5.0


class RecorderProcess:
    """Starts the process at once, so that it has all its imports done when it is told what to watch.

    None of its methods raises: the suite goes on unrecorded, and `trouble` says why. `on_report` is called in
    a thread of its own.
    """

    def __init__(
        self,
        path: Path,
        header: RecordingHeader,
        *,
        max_bytes: int | None = None,
        every_s: float | None = None,
        on_report: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self.trouble = ""
        """Why the file isn't written, or not whole; empty if it is."""
        self.lost = ""
        """Why the server isn't watched at the moment; empty if it is, or was never asked for."""
        self.polls_seen = False
        """Whether any poll was recorded."""
        self.is_watching = False
        """Whether it has been told what to watch."""
        self._on_report = on_report
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: SimpleQueue[Order] = SimpleQueue()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pgwatch_tests.record.recorder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Ctrl-C in the terminal ends the suite; the recorder ends with the pipe.
                start_new_session=True,
            )
        except OSError as error:
            self.trouble = f"its process can't be started: {error}"
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # A process that is stopped, or busy, takes no orders; nobody waits for that.
        self._teller = _thread(self._send, self._process.stdin)
        self._listener = _thread(self._listen, self._process.stdout)
        self._order(Begin(str(path.absolute()), header, max_bytes, every_s))

    @property
    def pid(self) -> int | None:
        """The process; None if it couldn't be started, or was stopped."""
        return None if self._process is None else self._process.pid

    def watch(self, dsn: str, source: str, tests: Path | None = None) -> None:
        """Tells it what to watch: the server of `dsn`, which was read in `source`, and a list of tests."""
        if not self.is_watching:
            self.is_watching = True
            self._order(Watch(dsn, source, None if tests is None else str(tests.absolute())))

    def mark(self, kind: MarkKind, text: str = "", at: datetime | None = None) -> None:
        """Leaves a mark in the recording, at a time of the server's clock; None: now."""
        self._order(LeaveMark(kind, text, at))

    def add_leaks(self, report: LeakReport) -> None:
        """Puts the check after the suite into the recording."""
        from pgwatch_tests.record.recording.values import to_json

        self._order(AddLeaks(to_json(report)))

    def stop(self, within_s: float = _PATIENCE_S) -> str:
        """Ends the process, which makes the file whole; kills it after `within_s`. Returns `trouble`."""
        process, self._process = self._process, None
        if process is None:
            return self.trouble
        self._orders.put(End())
        try:
            status = process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.trouble = self.trouble or f"it didn't end within {within_s:g} s, and was killed"
        else:
            self._listener.join(1.0)
            if status and not self.trouble:
                self.trouble = f"its process ended with exit status {status}"
        return self.trouble

    def _order(self, order: Order) -> None:
        if self._process is not None:
            self._orders.put(order)

    def _send(self, pipe: IO[bytes]) -> None:
        with suppress(OSError), pipe:
            order: Order = self._orders.get()
            while not isinstance(order, End):
                pipe.write(to_line(order))
                pipe.flush()
                order = self._orders.get()
            pipe.write(to_line(order))

    def _listen(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                try:
                    report = report_of(line)
                except (ValueError, TypeError, KeyError):
                    continue
                match report:
                    case Polled():
                        self.polls_seen, self.lost = True, ""
                    case Lost(reason):
                        self.lost = reason
                    case Trouble(reason):
                        self.trouble = reason
                self._on_report(report)


def _thread(work: Callable[[IO[bytes]], None], pipe: IO[bytes]) -> threading.Thread:
    thread = threading.Thread(target=work, args=[pipe], name="pgwatch-tests recorder", daemon=True)
    thread.start()
    return thread
