"""The journal of findings: a file a process, in the run's log directory, which outlives a worker's kill -9.

Each line is a JSON object and is appended by one write. The controller reads all files of its session at the
end of it. No text of any statement and no connection string is in them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from pgwatch_tests.testing.current_test import Owner, OwnerKind
from pgwatch_tests.testing.findings import Finding, FindingKind

_SUFFIX = ".findings"


@dataclass(frozen=True, slots=True)
class Noted:
    """A finding as it was noted."""

    finding: Finding
    ignored: str | None = None
    """The reason of the marker `pgwatch_ignore` that covers it; None: not covered."""


class FindingJournal:
    """Writes one process's journal; for any thread. The file is made with the first finding."""

    def __init__(self, directory: Path, session: str, worker: str) -> None:
        self._directory = directory
        self._name = f"{session}-{worker or 'main'}-{os.getpid()}{_SUFFIX}"
        self._file: int | None = None
        self._lock = threading.Lock()

    def note(self, noted: Noted) -> None:
        """Appends a finding. Raises OSError."""
        finding, owner = noted.finding, noted.finding.owner
        line = json.dumps(
            {
                "kind": finding.kind,
                "owner": owner and [owner.kind, owner.name, owner.worker, owner.attempt, owner.number],
                "reason": finding.reason,
                "advice": finding.advice,
                "tables": finding.tables,
                "fails": finding.fails,
                "ignored": noted.ignored,
            }
        )
        with self._lock:
            if self._file is None:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = os.open(self._directory / self._name, flags, 0o600)
            os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        """Closes the file; a later finding opens it again."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def read_journals(directory: Path, session: str) -> list[Noted]:
    """Returns all findings of a session, by process, each process's in order; torn lines are left out."""
    found = []
    for path in sorted(directory.glob(f"{session}-*{_SUFFIX}")):
        for line in path.read_bytes().splitlines():
            try:
                found.append(_noted(json.loads(line)))
            except (ValueError, KeyError, TypeError):
                continue  # torn by a kill
    return found


def _noted(record: Mapping[str, object]) -> Noted:
    kind = record["kind"]
    if kind not in get_args(FindingKind):
        raise ValueError("unknown kind")
    finding = Finding(
        cast(FindingKind, kind),
        _owner(record["owner"]),
        str(record["reason"]),
        str(record["advice"]),
        tuple(_texts(record["tables"])),
        bool(record["fails"]),
    )
    ignored = record["ignored"]
    return Noted(finding, None if ignored is None else str(ignored))


def _owner(record: object) -> Owner | None:
    if not isinstance(record, list):
        return None
    kind, name, worker, attempt, number = record
    if kind not in get_args(OwnerKind):
        raise ValueError("unknown kind of owner")
    return Owner(cast(OwnerKind, kind), str(name), str(worker), int(attempt), int(number))


def _texts(record: object) -> Iterator[str]:
    if isinstance(record, list):
        yield from map(str, record)
