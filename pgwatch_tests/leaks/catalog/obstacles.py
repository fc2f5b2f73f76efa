"""Obstacles: why a table couldn't be read (locked, timed out, changed), or a marker can't be looked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg.pq.abc import Escaping

from pgwatch_tests.errors import ConfigurationError, NotCheckedError
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.markers.markers import PROVEN, Marker, markers
from pgwatch_tests.leaks.model import Skipped
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres.server_messages import server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WaitedForError
from pgwatch_tests.settings.load import DEFAULT_MARKERS, Settings
from pgwatch_tests.text.sql_names import shown

_EXISTS = (
    b"SELECT EXISTS (SELECT FROM pg_catalog.pg_class "
    b"WHERE oid OPERATOR(pg_catalog.=) %d::pg_catalog.oid) AS there"
)
# Errors of a name that is gone, or names something else.
_CHANGED = (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName, errors.WrongObjectType)


# Values with hardly a character in common: a pattern that matches all of them matches anything.
_REAL_VALUES = ("Ada Lovelace", "1815-12-10", "x", "7", "#", "real@company.org", "-", "C:\\TEMP")
_DEFAULTS = frozenset(markers(DEFAULT_MARKERS))


@contextmanager
def reading_catalogs(outcome: str) -> Iterator[None]:
    """Raises NotCheckedError, beginning with `outcome`, where the catalogs can't be read."""
    try:
        yield
    except psycopg.Error as error:
        raise NotCheckedError(f"{outcome}: the catalogs can't be read: {server_message(error)}") from error


class Obstacles:
    """Asks over the connection of a scan. Its methods raise what `session.running` does."""

    def __init__(self, session: DatabaseSession, settings: Settings) -> None:
        self._session = session
        self._settings = settings

    def usable(self, wanted: Iterable[Marker], escaping: Escaping) -> list[Marker]:
        """The markers that values of this database can bear.

        Raises ConfigurationError for one that is invalid, or that real rows would bear as well.
        """
        usable = [marker for marker in wanted if self._is_usable(marker, escaping)]
        for marker in usable:
            if marker not in _DEFAULTS and self._is_anything(marker, escaping):
                raise ConfigurationError(f"the marker {marker.name!r} would match every row")
        return usable

    def locked(self) -> frozenset[int]:
        """Returns the tables, by oid, that a lock makes unreadable just now."""
        try:
            return frozenset(self._session.ask_values("leaks/locked_tables", int))
        except psycopg.Error:
            return frozenset()  # then the tables are tried one by one

    def why(self, table: Table, error: psycopg.Error) -> Iterator[Skipped]:
        """Returns why a table couldn't be read; None if it no longer exists."""
        reason, hint = f"can't be read: {server_message(error)}", ""
        if isinstance(error, WaitedForError):
            reason, hint = str(error), "run it again when no test changes or empties it"
        elif isinstance(error, errors.LockNotAvailable):
            reason = "locked"
            hint = "`pgwatch-tests locks` shows by whom; a higher PGWATCH_LOCK_TIMEOUT waits longer"
        elif isinstance(error, errors.QueryCanceled):
            timed_out = self._session.last_duration_s >= self._settings.count_timeout_s
            reason = (
                f"timed out after {self._settings.count_timeout_s:g} s"
                if timed_out
                else server_message(error)
            )
            hint = "raise PGWATCH_COUNT_TIMEOUT" if timed_out else "run it again"
        elif not self._exists(table):
            return
        elif isinstance(error, _CHANGED):
            reason, hint = "renamed or changed while it was checked", "run it again"
        yield Skipped(shown(table.schema), shown(table.name), reason, hint)

    def _is_usable(self, marker: Marker, escaping: Escaping) -> bool:
        probes = MarkedRowStatements(escaping, ())
        for condition in marker.conditions:
            if condition in PROVEN:
                continue
            if condition.operator == "~" or not condition.pattern.isascii():
                try:
                    self._session.fetch_values(probes.probe(condition), bool)
                except errors.InvalidRegularExpression as error:
                    raise ConfigurationError(
                        f"PostgreSQL rejects the regular expression of the marker {marker.name!r}: "
                        f"{server_message(error)}"
                    ) from error
                except (errors.UntranslatableCharacter, errors.CharacterNotInRepertoire):
                    return False  # the database's encoding has no such character
        return True

    def _is_anything(self, marker: Marker, escaping: Escaping) -> bool:
        probe = MarkedRowStatements(escaping, [marker]).probe_all(_REAL_VALUES)
        return self._session.fetch_values(probe, bool)[0]

    def _exists(self, table: Table) -> bool:
        # By its oid: one that was renamed is still there, unread.
        try:
            return self._session.fetch_values(_EXISTS % table.oid, bool)[0]
        except psycopg.Error:
            return True
