"""Entries of the server's log, read from its three formats: stderr, csvlog, jsonlog. Pure.

PostgreSQL manual, Error Reporting and Logging; src/backend/utils/error/elog.c, csvlog.c, jsonlog.c. What
makes no sense (a torn line, half an entry at the beginning) is left out and counted.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from pgwatch_tests.record.server_log.line_prefix import LinePrefix

LogFormat = Literal["stderr", "csv", "json"]

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\S{1,40})")
_CSV_BEGINNING = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,"\s]{1,40},(?:"(?:[^"]|"")*")?,')
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::?(\d\d))?")
_COLUMNS = {"user": 1, "database": 2, "pid": 3, "severity": 11, "state": 12, "message": 13, "detail": 14,
            "context": 18, "statement": 19, "name": 22, "backend": 23}  # fmt: skip
_FEWEST_COLUMNS = 23
_LONGEST_RECORD = 1 << 20
# Most records of a server that logs statements are about nothing else.
_TELLING = re.compile("Lock|40P01|ERROR|FATAL")
_PARTS = {"DETAIL": "detail", "CONTEXT": "context", "STATEMENT": "statement", "HINT": "", "QUERY": "",
          "LOCATION": "", "BACKTRACE": ""}  # fmt: skip


@dataclass(slots=True)
class LogEntry:
    """One message of the server. Texts are as they came; empty where the format doesn't have them."""

    at: datetime
    pid: int
    severity: str
    message: str
    state: str = ""
    """SQLSTATE; empty if the format doesn't tell."""
    detail: str = ""
    context: str = ""
    statement: str = ""
    name: str = ""
    """The session's application_name."""
    user: str = ""
    database: str = ""
    has_name: bool = False
    """Whether the format tells `name`."""


@dataclass(slots=True)
class LogReading:
    """How the reading of a log went."""

    entries: int = 0
    unread: int = 0
    """Lines or records that make no sense."""
    unknown_zones: set[str] = field(default_factory=set)
    """Abbreviations of time zones that were taken for UTC."""


class Zone:
    """The time zone of a log: by its name (`log_timezone`), else by what the abbreviation says."""

    def __init__(self, name: str = "") -> None:
        self._named: tzinfo | None = None
        if name:
            try:
                self._named = ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                self._named = _offset(name)

    def time(self, text: str, reading: LogReading) -> datetime | None:
        """Reads `2026-03-01 12:00:00.123 CET`; None if that isn't one."""
        match = _TIME.fullmatch(text)
        if match is None:
            return None
        *numbers, fraction, abbreviation = match.groups()
        year, month, day, hour, minute, second = map(int, numbers)
        try:
            local = datetime(year, month, day, hour, minute, second, int((fraction or "0").ljust(6, "0")))
        except ValueError:
            return None
        zone = self._named or _offset(abbreviation)
        if zone is None:
            reading.unknown_zones.add(abbreviation)
            zone = UTC
        aware = local.replace(tzinfo=zone)
        if self._named is not None and aware.tzname() not in (abbreviation, None):
            # Twice a year an hour comes twice: the abbreviation tells which.
            other = aware.replace(fold=1)
            aware = other if other.tzname() == abbreviation else aware
        return aware.astimezone(UTC)


def _offset(text: str) -> tzinfo | None:
    if text.upper() in ("UTC", "GMT", "Z", "ETC/UTC"):
        return UTC
    match = _OFFSET.fullmatch(text)
    if match is None:
        return None
    sign = -1 if match[1] == "-" else 1
    return timezone(sign * timedelta(hours=int(match[2]), minutes=int(match[3] or 0)))


def read_entries(
    lines: Iterable[str],
    form: LogFormat,
    zone: Zone,
    reading: LogReading,
    prefix: LinePrefix | None = None,
) -> Iterator[LogEntry]:
    """Yields the entries in the lines of a log (line feeds kept); `prefix` is that of stderr."""
    if form == "json":
        found = _json_entries(lines, zone, reading)
    elif form == "csv":
        found = _csv_entries(lines, zone, reading)
    else:
        assert prefix is not None, "lines of stderr have one"
        found = _stderr_entries(lines, zone, reading, prefix)
    for entry in found:
        reading.entries += 1
        yield entry


# stderr.


def _stderr_entries(
    lines: Iterable[str], zone: Zone, reading: LogReading, prefix: LinePrefix
) -> Iterator[LogEntry]:
    # Entries of sessions come mixed where nobody collects them: each line says whose it is.
    open_entries: dict[int, LogEntry] = {}
    continued: Callable[[str], None] | None = None
    for raw in lines:
        line = raw.rstrip("\r\n")
        if line.startswith("\t"):
            # A line feed within a text is followed by a tab (append_with_tabs, elog.c).
            if continued is not None:
                continued(line[1:])
            continue
        continued = None
        match = prefix.match(line)
        pid = match.pid if match is not None else None
        if match is None or pid is None:
            reading.unread += bool(line.strip())
            continue
        entry = open_entries.get(pid)
        if match.severity in _PARTS:
            part = _PARTS[match.severity]
            if entry is not None and part:
                setattr(entry, part, match.text)
                continued = _continuing(entry, part)
            continue
        if entry is not None:
            yield open_entries.pop(pid)
        at = prefix.time(match, zone, reading)
        if at is None:
            reading.unread += 1
            continue
        entry = LogEntry(
            at,
            pid,
            match.severity,
            match.text,
            state=match.fields.get("e", ""),
            name=_known(match.fields.get("a", "")),
            user=_known(match.fields.get("u", "")),
            database=_known(match.fields.get("d", "")),
            has_name="a" in match.fields,
        )
        open_entries[pid] = entry
        continued = _continuing(entry, "message")
    yield from open_entries.values()


def _continuing(entry: LogEntry, part: str) -> Callable[[str], None]:
    def add(line: str) -> None:
        text = getattr(entry, part)
        if len(text) < _LONGEST_RECORD:
            setattr(entry, part, f"{text}\n{line}")

    return add


def _known(text: str) -> str:
    return "" if text == "[unknown]" else text


# csvlog.


def _csv_entries(lines: Iterable[str], zone: Zone, reading: LogReading) -> Iterator[LogEntry]:
    for record in _csv_records(lines, reading):
        if _TELLING.search(record) is None:
            continue
        try:
            [columns] = csv.reader([record], strict=True)
        except (csv.Error, ValueError):
            reading.unread += 1
            continue
        entry = _csv_entry(columns, zone, reading)
        if entry is None:
            reading.unread += 1
        else:
            yield entry


def _csv_records(lines: Iterable[str], reading: LogReading) -> Iterator[str]:
    """Yields records, of one or more lines each: within quotes a line feed ends none."""
    parts: list[str] = []
    quotes = length = 0
    for line in lines:
        if not parts and _CSV_BEGINNING.match(line) is None:
            reading.unread += bool(line.strip())
            continue
        parts.append(line)
        quotes += line.count('"')
        length += len(line)
        if quotes % 2 == 0:
            yield "".join(parts)
        elif length < _LONGEST_RECORD:
            continue
        else:
            # Torn: what looks like a beginning is one again.
            reading.unread += 1
        parts, quotes, length = [], 0, 0
    reading.unread += bool(parts)


def _csv_entry(columns: list[str], zone: Zone, reading: LogReading) -> LogEntry | None:
    if len(columns) < _FEWEST_COLUMNS:
        return None
    at = zone.time(columns[0], reading)
    told = {name: columns[place] for name, place in _COLUMNS.items() if place < len(columns)}
    pid = told.pop("pid")
    told.pop("backend", None)
    if at is None or not (pid.isascii() and pid.isdigit()):
        return None
    return LogEntry(at, int(pid), has_name=True, **told)


# jsonlog.

_KEYS: Mapping[str, str] = {
    "error_severity": "severity",
    "message": "message",
    "state_code": "state",
    "detail": "detail",
    "context": "context",
    "statement": "statement",
    "application_name": "name",
    "user": "user",
    "dbname": "database",
}


def _json_entries(lines: Iterable[str], zone: Zone, reading: LogReading) -> Iterator[LogEntry]:
    for line in lines:
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            at = zone.time(told["timestamp"], reading)
            pid = told["pid"]
            texts = {
                field: value for key, field in _KEYS.items() if isinstance(value := told.get(key, ""), str)
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            reading.unread += 1
            continue
        if at is None or not isinstance(pid, int):
            reading.unread += 1
            continue
        yield LogEntry(at, pid, has_name=True, **{"severity": "", "message": "", **texts})
