"""The names of sessions that polls have seen, as far as they name tests: leaked values carry their hashes."""

from __future__ import annotations

from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.locks.model import LockSnapshot

_MOST = 20_000
"""Of a suite with more tests, those seen last."""


class SeenNames:
    """Collects application names from snapshots."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, snapshot: LockSnapshot) -> None:
        """Adds the names of all sessions that name a test."""
        for session in snapshot.sessions:
            name = session.application_name
            if name in self._names or parse(name) is None:
                continue
            self._names[name] = None
            if len(self._names) > _MOST:
                self._names.pop(next(iter(self._names)))

    @property
    def all(self) -> tuple[str, ...]:
        """The names, in the order in which they were first seen."""
        return tuple(self._names)
