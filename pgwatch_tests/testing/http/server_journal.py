"""The journal of a server under test: whose its commits are, for the run whose tests it serves.

It lies beside the journals of the run's own processes, in their form: JSON lines, each appended by one write.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Hashable, Mapping
from pathlib import Path

from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.testing.connections.commits import Commit

JOURNAL_VARIABLE = "PGWATCH_JOURNAL"
"""The environment variable that tells where the journals of a run are: their directory and first word."""

SERVER_WORD = "-server-"
"""What is in the name of each, between the run's session and the process."""


class ServerJournal:
    """Writes the commits of this process, and of those that it forks; for any thread."""

    def __init__(self, directory: Path, session: str) -> None:
        self._directory = directory
        self._session = session
        self._process: int | None = None
        self._file = -1
        self._numbers: dict[tuple[str, Hashable], int] = {}
        self._lock = threading.Lock()

    @classmethod
    def of_environment(cls) -> ServerJournal | None:
        """Returns the journal of the run that has started this process; None if none has, or it is over."""
        place = os.environ.get(JOURNAL_VARIABLE)
        if not place or not Path(place).parent.is_dir():
            return None
        return cls(Path(place).parent, Path(place).name)

    def commit(self, commit: Commit) -> None:
        """Notes a commit, but for one that says nothing of a write. Raises OSError."""
        if commit.xid is None and commit.calls and not commit.written:
            return
        with self._lock:
            self._open()
            owner, database = commit.owner, commit.database
            of = None
            if owner is not None:
                record = [owner.kind, owner.name, owner.worker, owner.attempt, owner.number]
                of = self._number("owner", owner, {"owner": record})
            place = {"place": [database.host, database.port, database.name]}
            self._write(
                "commit",
                {
                    "of": of,
                    "in": self._number("database", database, place),
                    "at": real_time_ns() // 1000,
                    "xid": commit.xid,
                    "unknown": commit.unknown,
                    "written": None if commit.written is None else [list(one) for one in commit.written],
                    "late": commit.is_late,
                    "nested": commit.has_savepoints,
                },
            )

    def _number(self, kind: str, key: Hashable, record: Mapping[str, object]) -> int:
        """Returns the number by which a line names an owner or a database; its own line says which it is."""
        number = self._numbers.get((kind, key))
        if number is None:
            number = self._numbers[kind, key] = len(self._numbers)
            self._write(kind, {"number": number, **record})
        return number

    def _open(self) -> None:
        if self._process != os.getpid():
            self._process = os.getpid()
            self._numbers.clear()
            name = f"{self._session}{SERVER_WORD}{os.getpid()}.journal"
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._directory / name, flags, 0o600)

    def _write(self, kind: str, record: Mapping[str, object]) -> None:
        os.write(self._file, json.dumps({"is": kind, **record}, separators=(",", ":")).encode() + b"\n")
