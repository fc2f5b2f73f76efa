"""Scans of a test's own database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import LiteralString

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.baseline.comparison import Since
from pgwatch_tests.leaks.model import LeakReport, Skipped
from pgwatch_tests.leaks.scan import LeakScan, scan
from pgwatch_tests.settings.load import DEFAULT_MARKERS, Dsn, IgnoreSetting, MarkerSetting, Settings
from tests.waiting import PATIENCE_S


def settings(
    dsn: str,
    markers: tuple[MarkerSetting, ...] = DEFAULT_MARKERS,
    lock_timeout_s: float = 0.05,
    count_timeout_s: float = 30.0,
    ignore: tuple[IgnoreSetting, ...] = (),
) -> Settings:
    """Settings for a scan that doesn't wait long for locks."""
    return Settings(
        Dsn(dsn, "the test"), markers, ignore, lock_timeout_s=lock_timeout_s, count_timeout_s=count_timeout_s
    )


def scanned(
    dsn: str,
    markers: tuple[MarkerSetting, ...] = DEFAULT_MARKERS,
    progress: Callable[[int, int], None] | None = None,
    ignore: tuple[IgnoreSetting, ...] = (),
) -> LeakReport:
    """The report of a scan that went well."""
    return scan(settings(dsn, markers, ignore=ignore), progress)


def rows(report: LeakReport) -> dict[str, int]:
    """Leaked rows by `schema.table`."""
    return {f"{leak.schema}.{leak.table}": leak.rows for leak in report.tables}


def reasons(report: LeakReport) -> dict[str, str]:
    """Why tables weren't checked, by `schema.table`."""
    return {f"{skipped.schema}.{skipped.table}": skipped.reason for skipped in report.skipped}


def only_skipped(report: LeakReport) -> Skipped:
    """The one table that wasn't checked."""
    (skipped,) = report.skipped
    return skipped


def insert(
    connection: Connection[TupleRow], table: str, *values: str | tuple[str | None, ...] | None
) -> None:
    """Adds a row for each value, or tuple of values, to a table."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    # Without parameters, so that a name may hold what psycopg takes for a placeholder.
    lines = [sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row))) for row in rows]
    connection.execute(
        sql.SQL("INSERT INTO {} VALUES {}").format(sql.Identifier(table), sql.SQL(", ").join(lines))
    )


def make_string_type(connection: Connection[TupleRow], body: LiteralString) -> None:
    """A string type `label` whose cast to text runs `body` (PL/pgSQL) on `value`, a text."""
    connection.execute("CREATE TYPE label")
    for direction, signature in (("in", "(cstring) RETURNS label"), ("out", "(label) RETURNS cstring")):
        connection.execute(
            f"CREATE FUNCTION label_{direction}{signature} LANGUAGE internal IMMUTABLE STRICT"
            f" AS 'text{direction}'".encode()
        )
    connection.execute(
        "CREATE TYPE label (INPUT = label_in, OUTPUT = label_out, LIKE = text, CATEGORY = 'S')"
    )
    connection.execute(
        sql.SQL("CREATE FUNCTION label_text(value label) RETURNS text LANGUAGE plpgsql AS {}").format(
            sql.Literal(body)
        )
    )
    connection.execute("CREATE CAST (label AS text) WITH FUNCTION label_text(label)")


def make_slow_table(connection: Connection[TupleRow], name: str) -> None:
    """A table that takes minutes to count in."""
    make_string_type(connection, "BEGIN PERFORM pg_catalog.pg_sleep(0.1); RETURN ''; END")
    connection.execute(sql.SQL("CREATE TABLE {} (c label)").format(sql.Identifier(name)))
    insert(connection, name, *["x"] * 1000)


def counting(observer: Connection[TupleRow]) -> int | None:
    """The backend that is in the middle of a count in the observer's database, if there is one."""
    row = observer.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgwatch-tests'"
        " AND datname = current_database() AND state = 'active'"
        " AND query LIKE '% AS position, pg_catalog.count(*)%'"
    ).fetchone()
    return None if row is None else int(row[0])


class RunningScan:
    """A scan in a thread of its own."""

    def __init__(self, settings: Settings, since: Since | None = None) -> None:
        self.scan = LeakScan(settings, since=since)
        self._outcome: LeakReport | PgwatchError | None = None
        self._thread = threading.Thread(target=self._run, name="scan", daemon=True)
        self._thread.start()

    def result(self, timeout_s: float = PATIENCE_S) -> LeakReport:
        """Its report, once it is done. Raises its error, or AssertionError if it takes longer."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"still scanning after {timeout_s:g} s"
        if isinstance(self._outcome, PgwatchError):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def _run(self) -> None:
        try:
            self._outcome = self.scan.run()
        except PgwatchError as error:
            self._outcome = error
