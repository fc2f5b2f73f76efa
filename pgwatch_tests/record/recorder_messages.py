"""Messages between a recorder and the process that started it: lines of JSON over its pipes. Pure.

Down go orders, the connection string among them, which others could read on a command line; up come reports.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

from pgwatch_tests.record.model import MarkKind, RecordingHeader

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Begin:
    """The first order: the file to write, and how."""

    path: str
    header: RecordingHeader
    max_bytes: int | None = None
    every_s: float | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """The server to watch; the first such order counts. `source` is where its address was read."""

    dsn: str
    source: str
    tests: str | None = None
    """A file of test ids."""


@dataclass(frozen=True, slots=True)
class LeaveMark:
    """A mark at a time of the server's clock; None: now."""

    kind: MarkKind
    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AddLeaks:
    """The check after the suite, as JSON."""

    report: str


@dataclass(frozen=True, slots=True)
class End:
    """The last order. A pipe that ends without it is that of a process that was killed."""


@dataclass(frozen=True, slots=True)
class Polled:
    """A poll: how many sessions wait and how many are at work, ours left out. Told when that changes."""

    at: datetime
    blocked: int
    longest_wait_s: float
    active_sessions: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The server doesn't answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The file can't be written; empty: it can be written again."""

    reason: str


Order = Begin | Watch | LeaveMark | AddLeaks | End
Report = Polled | Lost | Trouble


def to_line(message: Order | Report) -> bytes:
    """The message as a line."""
    content = asdict(message)
    content["message"] = type(message).__name__
    return json.dumps(content, separators=(",", ":"), default=_microseconds).encode() + b"\n"


def order_of(line: bytes) -> Order:
    """Returns the order in a line. Raises ValueError, TypeError or KeyError."""
    content = json.loads(line)
    kind = content.pop("message")
    if kind == Begin.__name__:
        header = dict(content.pop("header"))
        command = tuple(map(str, header.pop("command")))
        known = {field.name for field in fields(RecordingHeader)}
        its = {name: value for name, value in header.items() if name in known - {"began"}}
        return Begin(
            header=RecordingHeader(began=_moment(header["began"]), command=command, **its), **content
        )
    if kind == End.__name__:
        return End()
    if kind == Watch.__name__:
        return Watch(**content)
    if kind == AddLeaks.__name__:
        return AddLeaks(**content)
    if kind == LeaveMark.__name__ and content["kind"] in get_args(MarkKind):
        at = content.pop("at")
        return LeaveMark(at=None if at is None else _moment(at), **content)
    raise ValueError(f"no order: {kind}")


def report_of(line: bytes) -> Report:
    """Returns the report in a line. Raises ValueError, TypeError or KeyError."""
    content: dict[str, object] = json.loads(line)
    return _REPORTS[_text(content.pop("message"))](content)


def _polled(content: Mapping[str, object]) -> Polled:
    return Polled(
        _moment(content["at"]),
        int(_number(content["blocked"])),
        _number(content["longest_wait_s"]),
        int(_number(content["active_sessions"])),
    )


_REPORTS: Final[dict[str, Callable[[Mapping[str, object]], Report]]] = {
    Polled.__name__: _polled,
    Lost.__name__: lambda content: Lost(_text(content["reason"])),
    Trouble.__name__: lambda content: Trouble(_text(content["reason"])),
}


def _microseconds(value: object) -> int:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    raise TypeError(f"not for a message: {type(value).__name__}")


def _moment(value: object) -> datetime:
    return _EPOCH + timedelta(microseconds=_number(value))


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return value
    raise TypeError("a number was expected")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("a text was expected")
