"""`pgwatch-tests record`: the recorder alone, until a signal comes or the time is over."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pgwatch_tests import __version__
from pgwatch_tests.cli import options
from pgwatch_tests.cli.runs.snapshot import POOLED
from pgwatch_tests.errors import SIGNALLED, ConfigurationError, RecordingError
from pgwatch_tests.fleet.servers import Server
from pgwatch_tests.identity.application_name import digest
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
_UNSAFE = re.compile(r"[^\w.-]")


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
    try:
        path = place / f"recording-{_stamp(began)}{SUFFIX}" if place.is_dir() else place
    except OSError as error:  # a name of any length
        raise ConfigurationError(f"cannot write {place}: {error.strerror}") from None
    if replaces:
        _remove(path)
    return _run([_RecordingRun(settings, _writer(path, began, every_s, max_bytes), every_s)], for_s)


def run_servers(
    settings: Settings,
    servers: Sequence[Server],
    directory: Path,
    for_s: float | None,
    every_s: float | None,
    max_bytes: int | None,
    part: str = "",
) -> int:
    """Records each server into a file of its own in `directory`, which is made. Returns the exit code.

    It is 3 if none of them could be reached. Raises ConfigurationError if the directory can't be made, and
    RecordingError if a file can't be written.
    """
    if settings.tests is not None:
        read_test_list(settings.tests)
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the directory {directory}: {error.strerror}") from None
    began = datetime.now(UTC)
    runs = []
    for server in servers:
        path = directory / f"{_file_name(server.name)}-{_stamp(began)}{SUFFIX}"
        writer = _writer(path, began, every_s, max_bytes, server.name, part)
        runs.append(_RecordingRun(replace(settings, dsn=server.dsn), writer, every_s, server.name))
    return _run(runs, for_s)


def _file_name(server: str) -> str:
    """The name of a server as part of a file's; no two servers share one."""
    safe = _UNSAFE.sub("_", server)
    return safe if safe == server else f"{safe}-{digest(server)}"


def _writer(
    path: Path,
    began: datetime,
    every_s: float | None,
    max_bytes: int | None,
    server: str = "",
    part: str = "",
) -> RecordingWriter:
    header = RecordingHeader(
        began=began,
        machine=socket.gethostname(),
        account=_account(),
        pid=os.getpid(),
        program_version=__version__,
        every_s=every_s,
        max_bytes=max_bytes,
        server=server,
        part=part,
    )
    try:
        return RecordingWriter(path, header, max_bytes)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already: name another file, or use --replace") from None


def _run(runs: Sequence[_RecordingRun], for_s: float | None) -> int:
    """Records all until a signal comes or the time is over, and tells how much. Returns the exit code."""
    signals = _Signals(runs)
    try:
        asyncio.run(signals.record(for_s))
    finally:
        for run in runs:
            run.close("" if signals.first is None else signals.first.name)
    errors = [error for run in runs if (error := run.tell_end()) is not None]
    if errors:
        raise errors[0]
    lost = [run.lost_exit_code for run in runs]
    if lost and all(lost):
        return lost[0]
    return SIGNALLED + signal.SIGINT if signals.first is signal.SIGINT else 0


class _Signals:
    """Ends all recordings at the first signal, and the process at the second."""

    def __init__(self, runs: Sequence[_RecordingRun]) -> None:
        self._runs = runs
        self.first: signal.Signals | None = None

    async def record(self, for_s: float | None) -> None:
        """Records until a signal comes, or the time is over."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        await asyncio.gather(*(run.recorder.run(for_s) for run in self._runs))

    def _stop(self, number: signal.Signals) -> None:
        if self.first is not None:
            # What is in the files can be read.
            os._exit(SIGNALLED + number)
        self.first = number
        for run in self._runs:
            run.recorder.stop()


class _RecordingRun:
    """The recording of one server; of a fleet's, what it tells begins with the server's name."""

    def __init__(
        self, settings: Settings, writer: RecordingWriter, every_s: float | None, server: str = ""
    ) -> None:
        self._writer = writer
        self.recorder = Recorder(settings, writer, every_s, self._tell)
        self._where = f"{address(settings.dsn)}, database {database_name(settings.dsn) or 'of the role'}"
        self._server = server
        self._is_lost = False
        self._has_begun = False

    def close(self, why: str) -> None:
        """Ends the file."""
        self._writer.close(why, machine_time_s())

    @property
    def lost_exit_code(self) -> int:
        """The exit code of what kept the server from being polled at all; else 0."""
        lost = self.recorder.lost
        return lost.exit_code if lost is not None and not self.recorder.polls else 0

    def tell_end(self) -> RecordingError | None:
        """Tells how much was recorded. Returns the error if it couldn't be written."""
        path = self._writer.path
        if self._writer.trouble:
            return RecordingError(self._writer.trouble)
        with Recording.open(path) as recording:
            seen = [
                durations.in_words(recording.watched_s),
                plural(recording.polls, "poll"),
                plural(len(recording.waits()), "wait"),
                plural(len(recording.deadlocks()), "deadlock"),
            ]
        self._narrate(f"recorded {', '.join(seen)}: {path}, {path.stat().st_size / 1e6:.1f} MB")
        return None

    def _narrate(self, line: str) -> None:
        options.narrate(f"{self._server}: {line}" if self._server else line)

    def _tell(self, report: Report) -> None:
        match report:
            case Polled():
                if not self._has_begun:
                    self._narrate(f"recording {self._where}; Ctrl-C or SIGTERM ends it")
                    if self._writer.is_pooled:
                        self._narrate(POOLED)
                elif self._is_lost:
                    self._narrate("recording again")
                self._has_begun, self._is_lost = True, False
            case Lost(reason):
                if not self._is_lost:
                    self._narrate(f"not recording: {reason}; trying again")
                self._is_lost = True
            case Trouble(reason):
                self._narrate(f"{reason}; trying again" if reason else "the recording can be written again")


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"


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
