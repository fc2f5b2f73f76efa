"""`pgwatch-tests record`: the recorder alone, until a signal comes or the time is over."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pgwatch_tests import __version__
from pgwatch_tests.cli import options
from pgwatch_tests.cli.runs.snapshot import POOLED
from pgwatch_tests.errors import SIGNALLED, ConfigurationError, RecordingError
from pgwatch_tests.identity.known_tests import read_test_list
from pgwatch_tests.postgres.connections.dsn import address, database_name
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recorder import Recorder, machine_time_s
from pgwatch_tests.record.recorder_messages import Lost, Polled, Report, Trouble
from pgwatch_tests.record.recording.layout import is_recording
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural

SUFFIX = ".pgwatch"


def run(
    settings: Settings,
    place: Path,
    for_s: float | None,
    every_s: float | None,
    max_bytes: int | None,
    *,
    replaces: bool,
) -> int:
    """Records into a file, or a file of its own in a directory. Returns the exit code.

    Raises ConfigurationError if that file is there, and RecordingError if it can't be written.
    """
    if settings.tests is not None:
        read_test_list(settings.tests)
    began = datetime.now(UTC)
    path = place / f"recording-{began:%Y%m%dT%H%M%SZ}{SUFFIX}" if place.is_dir() else place
    if replaces:
        _remove(path)
    header = RecordingHeader(
        began=began,
        machine=socket.gethostname(),
        account=_account(),
        pid=os.getpid(),
        program_version=__version__,
        every_s=every_s,
        max_bytes=max_bytes,
    )
    try:
        writer = RecordingWriter(path, header, max_bytes)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already: name another file, or use --replace") from None
    return _RecordingRun(settings, writer, every_s).run(for_s)


class _RecordingRun:
    def __init__(self, settings: Settings, writer: RecordingWriter, every_s: float | None) -> None:
        self._writer = writer
        self._recorder = Recorder(settings, writer, every_s, self._tell)
        self._where = f"{address(settings.dsn)}, database {database_name(settings.dsn) or 'of the role'}"
        self._signal: signal.Signals | None = None
        self._is_lost = False
        self._has_begun = False

    def run(self, for_s: float | None) -> int:
        """Records until it is told to stop, and tells how much that was."""
        path = self._writer.path
        try:
            asyncio.run(self._record(for_s))
        finally:
            why = "" if self._signal is None else self._signal.name
            self._writer.close(why, machine_time_s())
        if self._writer.trouble:
            raise RecordingError(self._writer.trouble)
        with Recording.open(path) as recording:
            seen = [
                durations.in_words(recording.watched_s),
                plural(recording.polls, "poll"),
                plural(len(recording.waits()), "wait"),
                plural(len(recording.deadlocks()), "deadlock"),
            ]
        options.narrate(f"recorded {', '.join(seen)}: {path}, {path.stat().st_size / 1e6:.1f} MB")
        if not self._recorder.polls and self._recorder.lost is not None:
            return self._recorder.lost.exit_code
        return SIGNALLED + signal.SIGINT if self._signal is signal.SIGINT else 0

    async def _record(self, for_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        await self._recorder.run(for_s)

    def _stop(self, number: signal.Signals) -> None:
        if self._signal is not None:
            # What is in the file can be read.
            os._exit(SIGNALLED + number)
        self._signal = number
        self._recorder.stop()

    def _tell(self, report: Report) -> None:
        match report:
            case Polled():
                if not self._has_begun:
                    options.narrate(f"recording {self._where}; Ctrl-C or SIGTERM ends it")
                    if self._writer.is_pooled:
                        options.narrate(POOLED)
                elif self._is_lost:
                    options.narrate("recording again")
                self._has_begun, self._is_lost = True, False
            case Lost(reason):
                if not self._is_lost:
                    options.narrate(f"not recording: {reason}; trying again")
                self._is_lost = True
            case Trouble(reason):
                options.narrate(f"{reason}; trying again" if reason else "the recording can be written again")


def _remove(path: Path) -> None:
    """Removes a recording. Raises ConfigurationError if it is something else, or can't be removed."""
    if not path.exists():
        return
    if not is_recording(path):
        raise ConfigurationError(f"{path} isn't a recording of pgwatch-tests: --replace leaves it alone")
    try:
        path.unlink()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be replaced: {error.strerror}") from None


def _account() -> str:
    with suppress(KeyError, OSError):  # no such user: a container's number
        return getpass.getuser()
    return str(os.getuid())
