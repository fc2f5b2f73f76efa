"""Files of the server's log: which ones a run has written to, from where on, in which format.

A log may be huge, so its beginning is skipped by the time that its lines tell; it grows meanwhile, and may
have been rotated: then the others of its name that were written since belong to it as well.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.record.server_log.entries import LogEntry, LogFormat, LogReading, Zone, read_entries
from pgwatch_tests.record.server_log.line_prefix import COMMON, LinePrefix, recognised
from pgwatch_tests.record.server_log.lock_messages import LockMessages, lock_messages
from pgwatch_tests.text.numbers import plural

_MARGIN = timedelta(seconds=60)
_MOST_BYTES = 1 << 30
_LONGEST_LINE = 1 << 20
_PROBED_BYTES = 1 << 16
_CLOSE_BYTES = 1 << 18
_MOST_FILES = 200
_LINES_AT_ONCE = 1000
_TIME = re.compile(rb'(?:^|[ "\[(:])(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (\S{1,40}?)[",\s\]):]')
_TELLING = re.compile(rb"Lock|deadlock|40P01|ERROR|FATAL|DETAIL|CONTEXT|STATEMENT")
_FORMATS: dict[str, LogFormat] = {".csv": "csv", ".json": "json"}
_PREFERRED: Sequence[LogFormat] = ("json", "csv", "stderr")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the server tells of its log; empty where it wasn't asked."""

    line_prefix: str | None = None
    """log_line_prefix."""
    time_zone: str = ""
    """log_timezone."""


@dataclass(slots=True)
class ServerLog:
    """What a run's part of the log tells, and sentences on what couldn't be read."""

    messages: LockMessages
    entries: int = 0
    remarks: list[str] = field(default_factory=list)


def read_server_log(
    path: Path,
    since: datetime,
    until: datetime | None = None,
    settings: LogSettings = LogSettings(),
    within_s: float | None = None,
) -> ServerLog:
    """Reads what the server has logged on locks between two moments of its clock.

    `path` is a file, or the directory of logs; it is read for `within_s` at most. Raises
    ConfigurationError if it can't be read.
    """
    files = _files(path, since)
    reading, remarks = LogReading(), []
    entries: list[Iterator[LogEntry]] = []
    zone = Zone(settings.time_zone)
    until_s = inf if within_s is None else time.monotonic() + within_s
    for file in files:
        form = _format(file)
        prefix = _prefix(file, settings) if form == "stderr" else None
        if form == "stderr" and prefix is None:
            if file.stat().st_size:
                remarks.append(
                    f"{file.name} isn't understood: its lines begin with no known log_line_prefix that tells "
                    "time and process, such as '%m [%p] %q%a '"
                )
            continue
        begin = _beginning(file, since - _MARGIN, zone)
        lines = _lines(file, begin, remarks, until_s)
        if form != "csv":
            # A record of csvlog may have several lines.
            lines = _telling(lines)
        text = (line.decode("utf-8", "backslashreplace") for line in lines)
        entries.append(read_entries(text, form, zone, reading, prefix))
    messages = lock_messages((entry for some in entries for entry in some), since, until)
    for name in sorted(reading.unknown_zones):
        remarks.append(
            f"the server's log has times in {name}, which were taken for UTC: set log_timezone to UTC"
        )
    if reading.unread:
        remarks.append(f"{plural(reading.unread, 'line')} of the server's log made no sense")
    return ServerLog(messages, reading.entries, remarks)


def _files(path: Path, since: datetime) -> list[Path]:
    """Returns the files that were written to since, the oldest first, all of one format."""
    try:
        if path.is_dir():
            candidates = [one for one in path.iterdir() if not one.name.startswith(".")]
            written = [one for one in candidates[: 10 * _MOST_FILES] if _is_written(one, since)]
            if candidates and not written:
                return []  # nothing was told since
            forms = {_format(one) for one in written}
            form = next((form for form in _PREFERRED if form in forms), None)
            found = [one for one in written if _format(one) == form]
        else:
            _check(path)
            beginning = re.match(r"[^0-9.]*", path.name)
            stem = beginning[0] if beginning else path.name
            form = _format(path)
            others = [
                one
                for one in path.parent.iterdir()
                if stem and one != path and one.name.startswith(stem) and _is_written(one, since)
            ]
            found = [one for one in others if _format(one) == form and not one.samefile(path)] + [path]
    except OSError as error:
        raise ConfigurationError(f"the server's log {path} can't be read: {error.strerror}") from None
    if not found:
        raise ConfigurationError(f"there is no log in {path}")
    return sorted(found, key=lambda one: one.stat().st_mtime)[-_MOST_FILES:]


def _check(path: Path) -> None:
    """Raises OSError if it can't be read, ConfigurationError if it is no file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigurationError(f"the server's log {path} is no file")
    finally:
        os.close(descriptor)


def _is_written(path: Path, since: datetime) -> bool:
    if path.suffix in (".gz", ".bz2", ".xz", ".zst"):
        return False
    facts = path.stat()
    is_new = datetime.fromtimestamp(facts.st_mtime, UTC) >= since - _MARGIN
    return stat.S_ISREG(facts.st_mode) and is_new and os.access(path, os.R_OK)


def _format(path: Path) -> LogFormat:
    for suffix in path.suffixes:
        if suffix in _FORMATS:
            return _FORMATS[suffix]
    with path.open("rb") as file:
        head = file.read(256)
    if head.startswith(b'{"timestamp"'):
        return "json"
    return "csv" if re.match(rb"\d{4}-\d\d-\d\d [^,]{8,40},[^,\n]*,[^,\n]*,\d+,", head) else "stderr"


def _prefix(path: Path, settings: LogSettings) -> LinePrefix | None:
    known = [] if settings.line_prefix is None else [settings.line_prefix]
    for choice in (known, COMMON):
        usable = [one for one in choice if _is_usable(one)]
        with path.open("rb") as file:
            # The end is what was written with the present setting.
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _CLOSE_BYTES))
            lines = file.read().decode("utf-8", "backslashreplace").splitlines()
        found = recognised(lines[-400:], usable) if usable else None
        if found is not None:
            return found
    return None


def _is_usable(setting: str) -> bool:
    try:
        LinePrefix(setting)
    except ValueError:
        return False
    return True


def _beginning(path: Path, since: datetime, zone: Zone) -> int:
    """Returns a place in the file before which nothing was written since: by halves, as far as times tell."""
    with path.open("rb") as file:
        low, high = 0, os.fstat(file.fileno()).st_size
        while high - low > _CLOSE_BYTES:
            middle = (low + high) // 2
            file.seek(middle)
            at = _first_time(file.read(_PROBED_BYTES), zone)
            if at is None or at >= since:
                high = middle
            else:
                low = middle
        if low:
            # To the end of a line that was cut.
            file.seek(low)
            low += len(file.readline(_LONGEST_LINE))
        return low


def _first_time(block: bytes, zone: Zone) -> datetime | None:
    for line in block.split(b"\n")[1:]:
        match = _TIME.search(line[:400]) if not line.startswith(b"\t") else None
        if match is not None:
            at = zone.time(b" ".join(match.groups()).decode("ascii", "replace"), LogReading())
            if at is not None:
                return at
    return None


def _telling(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the lines that may be about locks, or end a wait: few where statements are logged."""
    is_kept = False
    for line in lines:
        if not line.startswith(b"\t"):
            is_kept = _TELLING.search(line) is not None
        if is_kept:
            yield line


def _lines(path: Path, begin: int, remarks: list[str], until_s: float) -> Iterator[bytes]:
    """Yields lines up to the end that the file has now; a last one without its end is left out."""
    numbers = count()
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        if end - begin > _MOST_BYTES:
            remarks.append(f"{path.name} has grown by more than 1 GiB: the last part of it was read")
            begin = end - _MOST_BYTES
        file.seek(begin)
        left = end - begin
        while left > 0:
            line = file.readline(min(left, _LONGEST_LINE))
            left -= len(line)
            if next(numbers) % _LINES_AT_ONCE == 0 and time.monotonic() > until_s:
                remarks.append(f"{path.name} was read in part only: no time was left")
                return
            if not line or (left <= 0 and not line.endswith(b"\n")):
                return
            yield line
