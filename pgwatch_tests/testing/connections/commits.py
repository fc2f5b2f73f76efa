"""Commits of tests: which transaction of which test wrote to which database. Only the standard library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pgwatch_tests.testing.connections.writes import Written
from pgwatch_tests.testing.current_test import Owner

UnknownReason = Literal["autocommit", "pipeline", "two_phase", "typed", "driver"]
"""How a transaction was committed whose id isn't known. `typed`: by a statement of the test's own."""


@dataclass(frozen=True, slots=True)
class ServedDatabase:
    """A database as a connection knows it. `host` may be the directory of a socket."""

    host: str
    port: str
    name: str
    dsn: str = field(default="", repr=False, compare=False)
    """A connection string for it, which may hold a password; empty where the driver doesn't tell."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that may have written, of a session of a test.

    `owner` is whoever the process, thread or task worked for when the transaction began; None: nobody.
    """

    owner: Owner | None
    database: ServedDatabase
    xid: int | None
    """All 64 bits. None: it may have written, and `unknown` says why its id isn't known."""
    tables: tuple[int, ...] | None = None
    """Of the tables that were asked about, those with new rows in it, by oid. None: not asked."""
    unknown: UnknownReason | None = None
    has_flushed_counters: bool = False
    """Whether what it wrote is in the server's statistics of tables right away (PostgreSQL 15 and later)."""
    has_savepoints: bool = False
    """Whether it had subtransactions, as far as its statements say: their rows have later ids."""
    written: frozenset[Written] | None = None
    """What its statements say that they write; None where the driver doesn't tell."""
    calls: frozenset[str] = frozenset()
    """What may be functions of users that its statements call: these may write, and no text says so."""

    @property
    def is_late(self) -> bool:
        """Whether its test had ended before it was committed, if asked right then."""
        return self.owner is not None and self.owner.has_ended


Listener = Callable[[Commit], None]
StatementListener = Callable[[Owner, ServedDatabase, str], None]
"""Called with whom a statement is put down to, where it runs, and its text, right before it is sent."""


class Commits:
    """The listeners of commits. What a listener raises is kept in `trouble`: it doesn't reach the test."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._of_statements: list[StatementListener] = []
        self.trouble: Exception | None = None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tells `listener` each commit from now on, in the thread that commits. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def listen_to_statements(self, listener: StatementListener) -> Callable[[], None]:
        """Tells `listener` each statement of a test from now on. Returns what ends that."""
        self._of_statements.append(listener)
        return lambda: self._of_statements.remove(listener)

    def run(self, owner: Owner | None, database: ServedDatabase, text: str) -> None:
        """Tells the listeners of a statement that is about to be sent."""
        if owner is None:
            return
        for listener in self._of_statements:
            try:
                listener(owner, database, text)
            except Exception as error:  # noqa: BLE001
                self.trouble = error

    def tell(self, commit: Commit) -> None:
        """Tells the listeners of a commit."""
        for listener in tuple(self._listeners):
            try:
                listener(commit)
            except Exception as error:  # noqa: BLE001
                # No error of ours changes a suite's result.
                self.trouble = error
