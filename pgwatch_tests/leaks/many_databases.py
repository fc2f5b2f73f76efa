"""Leak scans of many databases, of one server or of several, a few at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

from pgwatch_tests.errors import (
    CannotConnectError,
    ConfigurationError,
    ConnectionLostError,
    NoAnswerError,
    NotCheckedError,
    PgwatchError,
)
from pgwatch_tests.fleet.servers import Server, reason_of
from pgwatch_tests.fleet.shared_work import SharedWork
from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, LeftoverKind, NotChecked, ProgressCallback
from pgwatch_tests.leaks.scan import LeakScan
from pgwatch_tests.postgres.connections.dsn import in_database
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.numbers import plural

AT_ONCE = 4

# After so many databases that didn't answer, one after the other, a fleet's server isn't asked for more.
_SILENT_AT = 2
_SILENT = "not tried: the server doesn't answer any more"

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
    scans = _Scans(settings, kinds, at_once, progress)
    for name in choice.names:
        scans.add(_Scan("", replace(settings, dsn=in_database(settings.dsn, name)), name))
    scans.not_checked += choice.not_checked
    scans.run()
    return scans.result(checked_at, time.monotonic() - begun)


def scan_servers(
    settings: Settings,
    servers: Sequence[Server],
    kinds: Collection[LeftoverKind] = (),
    at_once: int = AT_ONCE,
    progress: ProgressCallback | None = None,
) -> LeaksOfDatabases:
    """Checks databases of several servers, over at most `at_once` connections to all of them together.

    What keeps a server, or one of its databases, from being checked is in the result's `not_checked`: even
    if that's so for all. Raises ConfigurationError if no database of any server fits the globs, or if a
    marker isn't one.
    """
    begun, checked_at = time.monotonic(), datetime.now(UTC)
    markers(settings.markers)
    scans = _Scans(settings, kinds, at_once, progress)
    for server in servers:
        own = replace(settings, dsn=server.dsn)
        scans.add(_List(server.name, own, server.databases) if server.databases else _Scan(server.name, own))
    scans.run()
    leaks = scans.result(checked_at, time.monotonic() - begun, tuple(server.name for server in servers))
    if servers and not leaks.databases and not leaks.not_checked:
        globs = ", ".join(dict.fromkeys(glob for server in servers for glob in server.databases))
        raise ConfigurationError(f"no database of {plural(len(servers), 'server')} matches {globs!r}")
    return leaks


def choose_on_server(settings: Settings, patterns: Sequence[str]) -> Choice:
    """Returns the databases of the server that patterns choose, see `choose`.

    Raises ConfigurationError, CannotConnectError, and NotCheckedError if their list can't be had.
    """
    return choose(databases_of(settings), patterns)


def choose(databases: Sequence[_Database], patterns: Sequence[str]) -> Choice:
    """Returns the databases that the patterns choose, see `choose_any`.

    Raises ConfigurationError if there is none to check.
    """
    choice = choose_any(databases, patterns)
    if not choice.names:
        whys = "".join(f"; {one.database}: {one.reason}" for one in choice.not_checked)
        raise ConfigurationError(f"no database that could be checked matches {', '.join(patterns)!r}{whys}")
    return choice


def choose_any(databases: Sequence[_Database], patterns: Sequence[str]) -> Choice:
    """Returns the databases that the patterns choose, or none.

    Templates never are: whatever is in them is on purpose.
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
    return Choice(tuple(names), tuple(not_checked))


def databases_of(settings: Settings) -> list[_Database]:
    """Returns the databases of a server. Raises CannotConnectError, and NotCheckedError if it doesn't say."""
    with closing(DatabaseSession(settings)) as session:
        session.open()
        try:
            return session.ask("leaks/databases", _Database)
        except psycopg.Error as error:
            raise NotCheckedError(
                f"nothing was checked: the databases can't be listed: {server_message(error)}"
            ) from error


@dataclass(frozen=True, slots=True)
class _List:
    """A server whose databases are to be listed, and those that fit the globs to be scanned."""

    server: str
    settings: Settings
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Scan:
    """A database that is to be scanned: `settings` lead there. Its name is empty if these alone name it."""

    server: str
    settings: Settings
    database: str = ""


class _Scans:
    """Lists and scans of any number of servers, and what came out of them."""

    def __init__(
        self,
        settings: Settings,
        kinds: Collection[LeftoverKind],
        at_once: int,
        progress: ProgressCallback | None,
    ) -> None:
        self._kinds = kinds
        self._progress = progress
        self._work: SharedWork[_List | _Scan, LeakReport | Choice | PgwatchError] = SharedWork(
            self._outcome, at_once
        )
        self._reports: list[LeakReport] = []
        self.not_checked: list[NotChecked] = []
        self._total = self._done = 0
        self._silent: Counter[str] = Counter()

    def add(self, item: _List | _Scan) -> None:
        """A list, or a scan, that is to be done."""
        self._work.add(item.server, item)
        self._total += isinstance(item, _Scan)

    def run(self) -> None:
        """Does all of it. Raises the first error that isn't about one server or database alone."""
        self._tell()
        for server, item, outcome in self._work.outcomes():
            if isinstance(outcome, Choice):
                self.not_checked += (replace(one, server=server) for one in outcome.not_checked)
                for name in outcome.names:
                    dsn = in_database(item.settings.dsn, name)
                    self.add(_Scan(server, replace(item.settings, dsn=dsn), name))
            elif isinstance(outcome, LeakReport):
                self._reports.append(replace(outcome, server=server))
            else:
                database = item.database if isinstance(item, _Scan) else ""
                reason = reason_of(outcome, item.settings.dsn) if server else str(outcome)
                self.not_checked.append(NotChecked(database, reason, server, outcome.exit_code))
            self._done += isinstance(item, _Scan)
            self._tell()

    def result(
        self, checked_at: datetime, duration_s: float, servers: tuple[str, ...] = ()
    ) -> LeaksOfDatabases:
        """What came out, in the order of servers and of names."""
        place = {server: number for number, server in enumerate(servers)}
        return LeaksOfDatabases(
            checked_at,
            tuple(sorted(self._reports, key=lambda one: (place.get(one.server, 0), one.database))),
            tuple(sorted(self.not_checked, key=lambda one: (place.get(one.server, 0), one.database))),
            duration_s,
            servers,
        )

    def _outcome(self, server: str, item: _List | _Scan) -> LeakReport | Choice | PgwatchError:
        if server and self._silent[server] >= _SILENT_AT:
            return NoAnswerError(_SILENT)
        try:
            if isinstance(item, _List):
                return choose_any(databases_of(item.settings), item.patterns)
            report = self._work.run_task(LeakScan(item.settings, kinds=self._kinds))
            self._silent[server] = 0
            return report
        except NoAnswerError as error:
            # By several threads at once perhaps: one more or less makes no difference.
            self._silent[server] += 1
            return error
        except _OF_ONE_DATABASE as error:
            return error
        except ConfigurationError as error:
            # A connection string, or a release of the server: of several servers, it is about that one.
            if not server:
                raise
            return error

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)
