"""The step of a run that reads the server's log: what is asked of the server for it, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg.rows import class_row

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.identity.known_tests import KnownTests, read_test_list
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.record.server_log.log_files import LogSettings
from pgwatch_tests.record.server_log.run_log import RunLog, join_run_log
from pgwatch_tests.settings.load import Settings

T = TypeVar("T")

_LIMITS = SessionLimits(statement_timeout_s=2.0, lock_timeout_s=0.5)
_CONNECT_S = 2.0


@dataclass(frozen=True, slots=True)
class _LogSettings:
    """The row of queries/run/log_settings.sql."""

    line_prefix: str
    time_zone: str
    logs_waits: bool
    database_oid: int


@dataclass(frozen=True, slots=True)
class _Name:
    """A row of queries/run/table_names.sql."""

    oid: int
    name: str


def read_run_log(
    log: Path,
    settings: Settings | None,
    began: datetime,
    recording: Path | None,
    within_s: float | None = None,
) -> tuple[RunLog, list[str]]:
    """Reads the log's part of a run; returns what it tells, and sentences on what it lacks.

    Raises ConfigurationError, RecordingError.
    """
    lacking: list[str] = []
    asked = _ServerOfLog(settings)
    told = asked.log_settings()
    if told is None:
        lacking.append(
            "the server couldn't be asked how it writes its log: its prefix and time zone were guessed"
        )
    elif not told.logs_waits:
        lacking.append(
            "the server's log tells deadlocks, but no waits: ALTER SYSTEM SET log_lock_waits = on; "
            "SELECT pg_reload_conf();"
        )
    log_settings = LogSettings() if told is None else LogSettings(told.line_prefix, told.time_zone)
    tests = None
    if settings is not None and settings.tests is not None:
        tests = KnownTests(read_test_list(settings.tests))
    database = None if told is None else told.database_oid

    def name_of(database_oid: int, relation: int) -> str:
        return asked.name(relation) if database_oid == database else ""

    found = join_run_log(log, began, recording, log_settings, tests, name_of, within_s)
    return found, [*lacking, *found.remarks]


class _ServerOfLog:
    """Asks the server, as long as it answers."""

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings
        self._names: dict[int, str] = {}

    def log_settings(self) -> _LogSettings | None:
        """Returns how the log is written; None if the server doesn't tell."""
        rows = self._ask("run/log_settings", _LogSettings, {})
        return rows[0] if rows else None

    def name(self, relation: int) -> str:
        """Returns a table's name; empty if it is gone."""
        if relation not in self._names:
            rows = self._ask("run/table_names", _Name, {"oids": [relation]})
            self._names[relation] = rows[0].name if rows else ""
        return self._names[relation]

    def _ask(self, query: str, row: type[T], parameters: Mapping[str, object]) -> list[T]:
        if self._settings is None:
            return []
        patience_s = min(_CONNECT_S, self._settings.connect_timeout_s)
        # One each: none of ours stays in the suite's database, and few are asked.
        with (
            suppress(PgwatchError, psycopg.Error),
            closing(connect(self._settings.dsn, _LIMITS, connect_timeout_s=patience_s)) as connection,
            connection.cursor(row_factory=class_row(row)) as cursor,
        ):
            return cursor.execute(queries.load(query).encode(), parameters).fetchall()
        return []
