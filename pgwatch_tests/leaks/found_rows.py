"""Found rows: some marked rows of one table one by one, read on demand, with shortened values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg import pq

from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.identity.value_tokens import TOKEN, parse
from pgwatch_tests.leaks.attribution.origins import evidence
from pgwatch_tests.leaks.baseline import relations
from pgwatch_tests.leaks.catalog.discovery import discover
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import Obstacles, reading_catalogs
from pgwatch_tests.leaks.catalog.tables import Table, full_name
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.model import FoundRow, FoundRows, Skipped, shortened_sample, time_from_epoch
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.sql_names import shown

MOST_FOUND = 50
_TIMEOUT_S = 5.0
"""Seconds: somebody waits for it at a screen."""
_TOKEN = re.compile(TOKEN, re.IGNORECASE)
_GONE = "it isn't there any more, or has no text that may be read"


@dataclass(frozen=True, slots=True)
class _Row:
    key: list[str]
    marked: list[str | None]
    at: float | None


class FoundRowsReader:
    """Reads the marked rows of `table` (`schema.table`): a `pgwatch_tests.task.Task`.

    `names` are application names that sessions had: their tests may have left the rows.
    """

    def __init__(self, settings: Settings, table: str, names: Collection[str] = ()) -> None:
        self._settings = settings
        self._table = table
        self._names = names
        self._session = DatabaseSession(settings)
        self._obstacles = Obstacles(self._session, settings)

    def stop(self) -> None:
        """Cancels it: it changes nothing, so there is nothing to finish first."""
        self.cancel()

    def cancel(self) -> None:
        """Makes `run` end with WorkCancelledError within moments. Returns at once."""
        self._session.cancel()

    def run(self) -> FoundRows:
        """Connects and reads at most MOST_FOUND rows, for at most 5 s; it gives way as a scan does.

        Raises what LeakScan.run does.
        """
        wanted = markers(self._settings.markers)
        with closing(self._session) as session:
            session.open()
            session.limit(min(_TIMEOUT_S, self._settings.count_timeout_s), self._settings.lock_timeout_s)
            escaping = pq.Escaping(session.connection.pgconn)
            with reading_catalogs("no row was read"):
                role = session.identity().role
                statements = MarkedRowStatements(escaping, self._obstacles.usable(wanted, escaping))
                ignores = Ignores(self._settings.ignore)
                found = session.run(lambda connection: discover(connection, role, ignores))
                table = next((one for one in found.tables if full_name(one) == self._table), None)
                if table is None:
                    return FoundRows((), skipped=tuple(self._why_not(found.skipped)))
                keys = self._keys(table, role)
            try:
                rows = session.fetch(statements.rows(table, keys, MOST_FOUND + 1), _Row)
            except psycopg.Error as error:
                return FoundRows((), skipped=tuple(self._obstacles.why(table, error)))
            known = self._known_tests()
        read = tuple(_found(row, table, keys, known) for row in rows[:MOST_FOUND])
        return FoundRows(read, len(rows) > MOST_FOUND)

    def _why_not(self, skipped: Sequence[Skipped]) -> Iterator[Skipped]:
        reasons = [one for one in skipped if f"{one.schema}.{one.table}" == self._table]
        yield from reasons or [Skipped("", self._table, _GONE)]

    def _keys(self, table: Table, role: str) -> tuple[str, ...]:
        """The primary key's columns; none if the rows of the table as a whole may not be read."""
        named = relations.read(self._session).discovery(role).tables
        return next((one.columns for one in named if one.oid == table.oid), ())

    def _known_tests(self) -> KnownTests:
        known = evidence(self._settings, finds_logs=True)
        tests = () if known is None else (*known.listed, *(r.test for log in known.logs for r in log.runs))
        try:
            names = self._session.ask_values("leaks/application_names", str)
        except psycopg.Error:
            names = []
        return KnownTests(tests, (*self._names, *names))


def _found(row: _Row, table: Table, keys: Sequence[str], known: KnownTests) -> FoundRow:
    marked = [
        (shown(name), value)
        for name, value in zip(table.columns, row.marked, strict=True)
        if value is not None
    ]
    digests = dict.fromkeys(
        token.test
        for _, value in marked
        for found in _TOKEN.finditer(value)
        if (token := parse(found[1])) is not None and token.test
    )
    tests = (test for one in digests for test in (sorted(known.with_digest(one)) or [f"#{one}"]))
    return FoundRow(
        tuple((shown(name), shortened_sample(value)) for name, value in zip(keys, row.key, strict=True)),
        tuple((name, shortened_sample(value)) for name, value in marked),
        time_from_epoch(row.at),
        tuple(tests),
    )
