"""The prefix of each line of the server's log on stderr (`log_line_prefix`), as a pattern. Pure.

PostgreSQL manual, log_line_prefix. The pid and the time have to be in it, by whichever of its escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgwatch_tests.record.server_log.entries import LogReading, Zone

COMMON = (
    "%m [%p] %q%a ",
    "%m [%p] %q%u@%d ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p] %a ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%t [%p]: [%l-1] ",
    "%t:%r:%u@%d:[%p]:",
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "%t [%p] %q%u@%d ",
    "%t [%p] ",
    "%m [%p] ",
)
"""Prefixes of packages, clouds and log analysers, those that tell more first: tried where the server doesn't
tell its own."""

_ESCAPE = re.compile(r"%(-?\d*)([a-zA-Z%])")
_SEVERITY = (
    r"(?P<severity>DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|"
    r"DETAIL|HINT|QUERY|CONTEXT|STATEMENT|LOCATION|BACKTRACE):  ?(?P<text>.*)"
)
_ZONED = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_FORMS: Mapping[str, str] = {
    "m": rf"{_ZONED}\.\d{{3}} \S+",
    "t": rf"{_ZONED} \S+",
    "n": r"\d+\.\d{3}",
    "s": rf"{_ZONED} \S+",
    "p": r"\d+",
    "P": r"\d*",
    "c": r"[0-9a-f]+\.[0-9a-f]+",
    "l": r"\d+",
    "e": r"[0-9A-Z]{5}",
    "x": r"\d+",
    "v": r"(?:-?\d+/\d+)?",
    "Q": r"-?\d+",
}
_ANYTHING = r".*?"
_LINES_TRIED = 400


@dataclass(frozen=True, slots=True)
class PrefixedLine:
    """A line in its parts: `fields` by escape, `severity` (or DETAIL …), and the text behind it."""

    fields: Mapping[str, str]
    severity: str
    text: str

    @property
    def pid(self) -> int | None:
        """The process; None if the prefix doesn't tell."""
        if "p" in self.fields:
            return int(self.fields["p"])
        session = self.fields.get("c", "")
        return int(session.partition(".")[2], 16) if session else None


class LinePrefix:
    """A `log_line_prefix`. Raises ValueError if it has no time, or neither pid nor session id."""

    def __init__(self, setting: str) -> None:
        self.setting = setting
        found = {letter for _, letter in _ESCAPE.findall(setting)}
        if not found & {"p", "c"} or not found & {"m", "t", "n"}:
            raise ValueError(
                f"log_line_prefix {setting!r} tells neither time nor process: set it to '%m [%p] %q%a '"
            )
        before, _, after = setting.partition("%q")
        self._patterns = [re.compile(_pattern(f"{before}{after}") + _SEVERITY, re.DOTALL)]
        if "%q" in setting:
            # Processes of the server itself stop there.
            self._patterns.append(re.compile(_pattern(before) + _SEVERITY, re.DOTALL))

    def match(self, line: str) -> PrefixedLine | None:
        """Returns the parts of a line; None if it doesn't begin like this."""
        found = [match for match in (pattern.match(line) for pattern in self._patterns) if match is not None]
        if not found:
            return None
        # A text may hold what looks like the end of a longer prefix.
        match = min(found, key=lambda one: one.start("severity"))
        fields = {
            name[1:]: value.strip()
            for name, value in match.groupdict().items()
            if name.startswith("_") and value is not None
        }
        return PrefixedLine(fields, match["severity"], match["text"])

    def time(self, line: PrefixedLine, zone: Zone, reading: LogReading) -> datetime | None:
        """Returns when the line was written; None if it makes no sense."""
        for name in ("m", "t"):
            if name in line.fields:
                return zone.time(line.fields[name], reading)
        try:
            return datetime.fromtimestamp(float(line.fields["n"]), UTC)
        except (ValueError, OverflowError, OSError, KeyError):
            return None


def _pattern(setting: str) -> str:
    parts: list[str] = []
    seen: set[str] = set()
    place = 0
    for match in _ESCAPE.finditer(setting):
        parts.append(re.escape(setting[place : match.start()]))
        place = match.end()
        padding, letter = match.groups()
        if letter == "%":
            parts.append("%")
            continue
        form = _FORMS.get(letter, _ANYTHING)
        named = form if letter in seen else f"(?P<_{letter}>{form})"
        seen.add(letter)
        parts.append(rf" *{named} *" if padding else named)
    parts.append(re.escape(setting[place:]))
    return "".join(parts)


def recognised(lines: Iterable[str], settings: Sequence[str] = COMMON) -> LinePrefix | None:
    """Returns the prefix that fits most of the first lines, of equals the first one; None if none fits."""
    sample = [line for line, _ in zip(lines, range(_LINES_TRIED), strict=False) if not line.startswith("\t")]
    best, most = None, 0
    for setting in settings:
        prefix = LinePrefix(setting)
        fitting = sum(prefix.match(line.rstrip("\r\n")) is not None for line in sample)
        if fitting > most:
            best, most = prefix, fitting
    return best
