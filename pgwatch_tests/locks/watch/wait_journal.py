"""The journal of a watch: who waited for whom, from when to when, as lines of JSON in a file.

The first line says what the file is; then come, in the order of the polls:

    {"wait": 1, "waiter": {…}, "blockers": [{…}], "roots": [{…}], "target": "row of users (id=42)", …}
    {"at": 1790000000.25, "on": {"1": 0.31}}
    {"at": 1790000000.5, "on": {}, "over": {"1": 0.42}}
    {"deadlock": [1, 2], "at": 1790000000.25, "advice": "…"}
    {"trouble": "…", "at": 1790000001.5}

A wait is written when it is new and when something of it has changed; `at` is a poll, with the seconds that
each present wait has lasted (`on`), and the most that those can have that are gone since the poll before
(`over`). Times are this machine's clock, in seconds since 1970. Each line is one write: whoever is killed
leaves whole lines and at most one torn one. Statements have no secrets in them, and no connection string is
written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

SCHEMA = "pgwatch-tests.waits/1"
MOST_BYTES = 64 << 20
"""How large a journal gets; what comes then isn't written, and the journal says so."""


@dataclass(frozen=True, slots=True)
class Side:
    """A session at one end of a wait, or a prepared transaction (pid 0). Foreign text; no secrets in it."""

    pid: int
    name: str
    """Its application_name; of a prepared transaction, its gid."""
    backend: str = ""
    """`client backend`, `autovacuum worker` …"""
    state: str = ""
    statement: str = ""
    """The present statement, or the last one."""
    in_transaction_since: float | None = None
    in_state_since: float | None = None
    database: str = ""
    user: str = ""
    client: str = ""
    known_test: str = ""
    """The whole id of its test, where a list of tests tells what `name` has only in short."""


@dataclass(frozen=True, slots=True)
class JournalWait:
    """A wait as it was when it was last written down."""

    number: int
    waiter: Side
    blockers: tuple[Side, ...]
    """Those that hold the lock before those queued ahead for it; at most a few."""
    more_blockers: int
    roots: tuple[Side, ...]
    """Who is at the bottom: blocks, and isn't blocked. In a deadlock the other members of it."""
    lock: str
    """`transactionid`, `relation`, `advisory` …"""
    mode: str
    held_mode: str
    target: str
    object: str
    cause: str
    advice: str
    began: float
    """When the wait began, as far as it is known; else when it was first seen."""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Poll:
    """One look at the server: how long each wait that was there had lasted, in seconds, by its number."""

    at: float
    waiting: Mapping[int, float]
    over: Mapping[int, float] = field(default_factory=dict)
    """The same of those that are gone since the poll before: how long each can have lasted at most."""


@dataclass(frozen=True, slots=True)
class Deadlock:
    """Sessions that waited for each other in a circle, seen in two polls."""

    at: float
    members: tuple[int, ...]
    """The numbers of their waits."""
    advice: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The server couldn't be asked, or the journal is full: from then on nothing is known until a poll."""

    at: float
    reason: str


Entry = JournalWait | Poll | Deadlock | Trouble


class JournalWriter:
    """Writes a journal. A line that can't be written is left out: a full disk ends no watch."""

    def __init__(self, path: Path) -> None:
        """Makes the file, readable by its owner alone. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._size = 0
        self._is_torn = False
        self._append({"schema": SCHEMA, "pid": os.getpid()})

    def write(self, entry: Entry) -> None:
        """Appends an entry."""
        if self._size >= MOST_BYTES:
            return
        match entry:
            case JournalWait():
                record = asdict(entry)
                record["wait"] = record.pop("number")
                self._append(record)
            case Poll(at, waiting, over):
                gone = {"over": _by_number(over)} if over else {}
                self._append({"at": round(at, 3), "on": _by_number(waiting), **gone})
            case Deadlock(at, members, advice):
                self._append({"deadlock": members, "at": round(at, 3), "advice": advice})
            case Trouble(at, reason):
                self._append({"trouble": reason, "at": round(at, 3)})
        if self._size >= MOST_BYTES:
            at = entry.began if isinstance(entry, JournalWait) else entry.at
            self._append({"trouble": "the journal of waits is full", "at": round(at, 3)})

    def _append(self, record: Mapping[str, object]) -> None:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        if self._is_torn:
            line = b"\n" + line
        try:
            written = os.write(self._file, line)
        except OSError:
            return
        self._size += written
        self._is_torn = written < len(line)


class JournalReader:
    """Reads a journal that may still be written, from where it has read to. One that isn't there is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    @property
    def has_more(self) -> bool:
        """Whether the file has grown since the last `read`."""
        try:
            return self._path.stat().st_size > self._read_to
        except OSError:
            return False

    def read(self) -> Iterator[Entry]:
        """Yields the entries that have come since. Lines that were torn are left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_to)
                content = file.read()
        except OSError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                entry = _entry(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if entry is not None:
                yield entry


def _entry(record: dict[str, object]) -> Entry | None:
    if "wait" in record:
        return JournalWait(
            number=_int(record["wait"]),
            waiter=_side(record["waiter"]),
            blockers=_sides(record["blockers"]),
            more_blockers=_int(record["more_blockers"]),
            roots=_sides(record["roots"]),
            began=_float(record["began"]),
            explanation=str(record.get("explanation", "")),
            **{name: str(record[name]) for name in _TEXTS},
        )
    if "deadlock" in record:
        members = record["deadlock"]
        numbers = tuple(map(_int, members)) if isinstance(members, list) else ()
        return Deadlock(_float(record["at"]), numbers, str(record["advice"]))
    if "trouble" in record:
        return Trouble(_float(record["at"]), str(record["trouble"]))
    if "on" in record:
        return Poll(_float(record["at"]), _seconds(record["on"]), _seconds(record.get("over", {})))
    return None


def _by_number(seconds: Mapping[int, float]) -> dict[str, float]:
    return {str(number): round(wait_s, 3) for number, wait_s in seconds.items()}


def _seconds(record: object) -> dict[int, float]:
    if not isinstance(record, dict):
        raise TypeError("seconds are an object, by number")
    return {int(key): _float(value) for key, value in record.items()}


_TEXTS = ("lock", "mode", "held_mode", "target", "object", "cause", "advice")


def _sides(record: object) -> tuple[Side, ...]:
    return tuple(map(_side, record)) if isinstance(record, Sequence) else ()


def _side(record: object) -> Side:
    if not isinstance(record, dict):
        raise TypeError("a side is an object")
    since, in_state = record["in_transaction_since"], record["in_state_since"]
    return Side(
        pid=_int(record["pid"]),
        name=str(record["name"]),
        backend=str(record["backend"]),
        state=str(record["state"]),
        statement=str(record["statement"]),
        in_transaction_since=None if since is None else _float(since),
        in_state_since=None if in_state is None else _float(in_state),
        database=str(record["database"]),
        user=str(record.get("user", "")),
        client=str(record.get("client", "")),
        known_test=str(record.get("known_test", "")),
    )


def _int(value: object) -> int:
    if isinstance(value, int):
        return value
    raise TypeError("a number was expected")


def _float(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise TypeError("a number was expected")
