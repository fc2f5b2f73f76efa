"""The log of writes: which test committed to which tables, when; a file a process, which all can read.

Each line is one write. A test that goes on writing to the same tables gets a line every 50 ms at most, and at
its end one for the last of these writes. No text of any statement is in it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path

from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.current_test import Owner

_SUFFIX = ".writes"
_SAME_AGAIN_S = 0.05
_MOST_REMEMBERED = 1_000
_CHUNK = 1 << 20
_MOST_READ = 16 << 20
_OWN_SCHEMA = re.compile(r'search_path=["\\]*(test_\d+_\d+_[0-9a-f]+)')
"""A search path, in a connection string, that begins with a schema that `isolated_schema` has made."""


_Key = tuple[int, str, frozenset[str]]
"""The number of an owner, a database, and tables."""


@dataclass(frozen=True, slots=True)
class LoggedWrite:
    """A commit that wrote to these tables, or, with `failed`, a failed test that had read them."""

    at: float
    """When it was logged, right after the commit: seconds since 1970."""
    owner: str
    """The test's id, or the fixture's name."""
    worker: str
    tables: frozenset[str]
    database: str
    failed: bool = False


def database_key(database: ServedDatabase) -> str:
    """Returns what tells a database of one server from others: a host has several names.

    Sessions in a schema of a test's own have tables of their own: to them it is a database.
    """
    return f"{database.port or '5432'}/{database.name}{_own_schema(database.dsn)}"


@lru_cache(maxsize=256)
def _own_schema(dsn: str) -> str:
    match = _OWN_SCHEMA.search(dsn)
    return "" if match is None else f"/{match[1]}"


class WriteLog:
    """Writes one process's log. What can't be written is left out: it is no reason to disturb a test."""

    def __init__(self, directory: Path, session: str, worker: str) -> None:
        self._directory = directory
        self._name = f"{session}-{worker or 'main'}-{os.getpid()}{_SUFFIX}"
        self._file: int | None = None
        self._last: dict[_Key, float] = {}
        self._unlogged: dict[int, dict[_Key, float]] = {}
        """Of each owner, the last writes that have no line, as they came soon after another one."""

    def wrote(self, owner: Owner, tables: frozenset[str], database: str) -> None:
        """Logs a commit that has been made."""
        at = real_time_ns() / 1e9
        key = owner.number, database, tables
        if at - self._last.get(key, 0.0) < _SAME_AGAIN_S:
            self._unlogged.setdefault(owner.number, {})[key] = at
            return
        if len(self._last) >= _MOST_REMEMBERED:
            self._last.clear()
        self._last[key] = at
        if owner.number in self._unlogged:
            self._unlogged[owner.number].pop(key, None)
        self._append(at, owner, tables, database, failed=False)

    def ended(self, owner: Owner) -> None:
        """Logs the last writes of a test that is over, or of a fixture."""
        for (_, database, tables), at in self._unlogged.pop(owner.number, {}).items():
            self._append(at, owner, tables, database, failed=False)

    def failed(self, owner: Owner, read: frozenset[str], database: str, at: float) -> None:
        """Logs what a test had read that has failed."""
        self._append(at, owner, read, database, failed=True)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(
        self, at: float, owner: Owner, tables: frozenset[str], database: str, *, failed: bool
    ) -> None:
        # By hand: json.dumps makes an encoder for each call, which takes longer than the write.
        names = ",".join(map(_quoted, sorted(tables)))
        line = (
            f"[{at:.4f},{_quoted(owner.name)},{_quoted(owner.worker)},[{names}],{_quoted(database)},"
            f"{'true' if failed else 'false'}]\n"
        )
        with suppress(OSError):
            if self._file is None:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = os.open(self._directory / self._name, flags, 0o600)
            os.write(self._file, line.encode())


def read_logs(directory: Path, session: str, since: float = 0.0) -> list[LoggedWrite]:
    """Returns what all processes of a session have logged since then, in order of time.

    Of each file at most the last 16 MB are read.
    """
    found: list[LoggedWrite] = []
    for path in directory.glob(f"{session}-*{_SUFFIX}"):
        with suppress(OSError):
            found += [one for one in _read(path, since) if one.at >= since]
    return sorted(found, key=lambda one: one.at)


def _read(path: Path, since: float) -> Iterator[LoggedWrite]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = size
        content = b""
        while start > 0 and size - start < _MOST_READ:
            length = min(_CHUNK, start)
            start -= length
            file.seek(start)
            content = file.read(length) + content
            first = content.partition(b"\n")[2] if start else content
            entry = _entry(first.partition(b"\n")[0])
            if entry is not None and entry.at < since:
                break
    for line in content.splitlines():
        one = _entry(line)
        if one is not None:
            yield one


def _entry(line: bytes) -> LoggedWrite | None:
    try:
        at, owner, worker, tables, database, failed = json.loads(line)
        return LoggedWrite(
            float(at), str(owner), str(worker), frozenset(map(str, tables)), str(database), bool(failed)
        )
    except (ValueError, TypeError):
        return None  # the first of a chunk, or torn
