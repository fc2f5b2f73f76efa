"""Leak scans of many databases of one server, a few at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

import psycopg

from pgwatch_tests.errors import CannotConnectError, ConfigurationError, ConnectionLostError, NotCheckedError
from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, LeftoverKind, NotChecked, ProgressCallback
from pgwatch_tests.leaks.scan import LeakScan
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.task import CompoundTask

AT_ONCE = 4

_STOPPED_WITHIN_S = 2.0  # so that the server is told before the program is gone

# Errors of one database alone: the other ones are checked all the same.
_OF_ONE_DATABASE = (CannotConnectError, ConnectionLostError, NotCheckedError)


@dataclass(frozen=True, slots=True)
class _Database:
    """A row of queries/leaks/databases.sql."""

    name: str
    is_template: bool
    allows_connections: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The databases to check, and those that were named but can't be."""

    names: tuple[str, ...]
    not_checked: tuple[NotChecked, ...]


def scan_databases(
    settings: Settings,
    patterns: Sequence[str],
    kinds: Collection[LeftoverKind] = (),
    at_once: int = AT_ONCE,
    progress: ProgressCallback | None = None,
) -> LeaksOfDatabases:
    """Checks the databases whose names are, or fit, one of `patterns`; over at most `at_once` connections.

    What keeps one of them from being checked is in the result's `not_checked`. Raises ConfigurationError if
    none fits, or a marker isn't one; CannotConnectError if not even their list can be had.
    """
    begun, checked_at = time.monotonic(), datetime.now(UTC)
    choice = choose_on_server(settings, patterns)
    reports, failed = _Scans(settings, kinds, progress).run(choice.names, at_once)
    return LeaksOfDatabases(
        checked_at,
        tuple(sorted(reports, key=lambda report: report.database)),
        tuple(sorted((*choice.not_checked, *failed), key=lambda one: one.database)),
        time.monotonic() - begun,
    )


def choose_on_server(settings: Settings, patterns: Sequence[str]) -> Choice:
    """Returns the databases of the server that patterns choose, see `choose`.

    Raises ConfigurationError, CannotConnectError, and NotCheckedError if their list can't be had.
    """
    return choose(_databases(settings), patterns)


def choose(databases: Sequence[_Database], patterns: Sequence[str]) -> Choice:
    """Returns the databases that the patterns choose. Templates never are: whatever is in them is on purpose.

    Raises ConfigurationError if there is none to check.
    """
    names, not_checked = [], []
    for one in databases:
        if one.is_template:
            if one.name in patterns:
                not_checked.append(NotChecked(one.name, "a template: never checked"))
        elif matches(one.name, patterns):
            if one.allows_connections:
                names.append(one.name)
            else:
                not_checked.append(NotChecked(one.name, "doesn't allow connections"))
    known = {one.name for one in databases}
    not_checked.extend(
        NotChecked(pattern, "no such database")
        for pattern in dict.fromkeys(patterns)
        if pattern not in known and not set(pattern) & set("*?[")
    )
    if not names:
        whys = "".join(f"; {one.database}: {one.reason}" for one in not_checked)
        raise ConfigurationError(f"no database that could be checked matches {', '.join(patterns)!r}{whys}")
    return Choice(tuple(names), tuple(not_checked))


def _databases(settings: Settings) -> list[_Database]:
    with closing(DatabaseSession(settings)) as session:
        session.open()
        try:
            return session.ask("leaks/databases", _Database)
        except psycopg.Error as error:
            raise NotCheckedError(
                f"nothing was checked: the databases can't be listed: {server_message(error)}"
            ) from error


class _Scans(CompoundTask):
    """Scans in daemon threads: nobody waits for them when the program is interrupted."""

    def __init__(
        self, settings: Settings, kinds: Collection[LeftoverKind], progress: ProgressCallback | None
    ) -> None:
        super().__init__()
        self._settings = settings
        self._kinds = kinds
        self._progress = progress
        self._waiting: SimpleQueue[str] = SimpleQueue()
        self._done: SimpleQueue[LeakReport | NotChecked | BaseException] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def run(self, names: Sequence[str], at_once: int) -> tuple[list[LeakReport], list[NotChecked]]:
        """The outcome for each database. Raises the first error that isn't about one database alone."""
        reports: list[LeakReport] = []
        failed: list[NotChecked] = []
        for name in names:
            self._waiting.put(name)
        self._tell(0, len(names))
        for number in range(min(at_once, len(names))):
            thread = threading.Thread(target=self._work, name=f"leak scans {number + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()
        try:
            for done in range(1, len(names) + 1):
                outcome = self._done.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                if isinstance(outcome, NotChecked):
                    failed.append(outcome)
                else:
                    reports.append(outcome)
                self._tell(done, len(names))
        finally:
            self._end()
        return reports, failed

    def _work(self) -> None:
        while not self.is_stopped:
            try:
                name = self._waiting.get_nowait()
            except Empty:
                return
            try:
                self._done.put(self._outcome(name))
            except BaseException as error:  # noqa: BLE001  # handed to whoever waits for the outcome
                self._done.put(error)
                return

    def _outcome(self, name: str) -> LeakReport | NotChecked:
        settings = replace(self._settings, dsn=in_database(self._settings.dsn, name))
        try:
            return self.run_task(LeakScan(settings, kinds=self._kinds))
        except _OF_ONE_DATABASE as error:
            return NotChecked(name, str(error))

    def _end(self) -> None:
        self.cancel()
        deadline = time.monotonic() + _STOPPED_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)
