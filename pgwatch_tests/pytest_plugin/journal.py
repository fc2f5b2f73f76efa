"""The journal of a process: a file in the run's log directory, which outlives a worker's kill -9.

Each line is a JSON object, its kind in `is`, and is appended by one write. The controller reads all files of
its session at the end of it. No text of any statement and no connection string is in them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

RecordKind = Literal["finding", "owner", "database", "commit", "judged", "ignore"]
_SUFFIX = ".journal"


class Journal:
    """Writes one process's journal; for any thread. The file is made with the first record."""

    def __init__(self, directory: Path, session: str, worker: str) -> None:
        self._directory = directory
        self._name = f"{session}-{worker or 'main'}-{os.getpid()}{_SUFFIX}"
        self._file: int | None = None
        self._lock = threading.Lock()

    def note(self, kind: RecordKind, record: Mapping[str, object]) -> None:
        """Appends a record. Raises OSError."""
        line = json.dumps({"is": kind, **record}, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._file is None:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = os.open(self._directory / self._name, flags, 0o600)
            os.write(self._file, line)

    def close(self) -> None:
        """Closes the file; a later record opens it again."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def read_journals(directory: Path, session: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yields all records of a session with the name of their file, by process, each process's in order.

    Lines that a kill has torn are left out.
    """
    for path in sorted(directory.glob(f"{session}-*{_SUFFIX}")):
        for line in path.read_bytes().splitlines():
            try:
                record: object = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield path.name, record
