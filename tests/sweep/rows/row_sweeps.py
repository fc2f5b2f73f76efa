"""Sweeps of a test's own database."""

from __future__ import annotations

import re
import time
from collections import Counter

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.settings.load import DEFAULT_MARKERS, Dsn, MarkerSetting, Settings
from pgwatch_tests.sweep.model import KeptReason, SweepReport
from pgwatch_tests.sweep.request import SweepPart, SweepRequest
from pgwatch_tests.sweep.run import Sweep

OLD_MS = 1_717_171_717_171
"""A stamp that is old enough for every sweep, in 2024."""


def swept(
    dsn: str,
    *,
    dry_run: bool = False,
    min_age_s: float = 600.0,
    run: str | None = None,
    test: str | None = None,
    markers: tuple[MarkerSetting, ...] = DEFAULT_MARKERS,
    count_timeout_s: float = 30.0,
    patience_s: float = 60.0,
    part: SweepPart | None = None,
) -> SweepReport:
    """The report of a sweep of rows that went well."""
    settings = Settings(Dsn(dsn, "the test"), markers, count_timeout_s=count_timeout_s)
    request = SweepRequest(
        ("rows",), dry_run, min_age_s, run=run, test=test, patience_s=patience_s, part=part
    )
    return Sweep(settings, request).run()


def swept_thoroughly(
    dsn: str, run: str | None = None, test: str | None = None, part: SweepPart | None = None
) -> SweepReport:
    """The report of a sweep that did what a dry run had said, and left nothing for the next one to do."""
    dry = swept(dsn, dry_run=True, run=run, test=test, part=part)
    report = swept(dsn, run=run, test=test, part=part)
    again = swept(dsn, run=run, test=test, part=part)

    assert not dry.deleted
    assert dry.planned == report.planned == report.deleted
    assert kept(dry) == kept(report) == kept(again)
    assert again.deleted == ()
    return report


def mail(name: str = "x", stamp_ms: int = OLD_MS) -> str:
    """A marked address: `x-1717171717171-1a@test.example.com`."""
    return f"{name}-{stamp_ms}-1a@test.example.com"


def make(connection: Connection[TupleRow], script: str) -> None:
    """Runs statements; MARKED in them stands for a marked value, NOW_MARKED for one that is young."""
    young = mail(stamp_ms=time.time_ns() // 1_000_000)
    for word, value in (("NOW_MARKED", young), ("MARKED", mail())):
        script = re.sub(rf"\b{word}\b", f"'{value}'", script)
    connection.execute(script.encode())


def deleted(report: SweepReport) -> dict[str, tuple[int, int]]:
    """How many rows went, marked ones and dependent ones, by table."""
    return {one.table: (one.marked, one.dependent) for one in report.deleted}


def kept(report: SweepReport) -> dict[tuple[str, KeptReason], int]:
    """How many rows stay, by table and reason."""
    found: Counter[tuple[str, KeptReason]] = Counter()
    for one in report.kept:
        found[one.table, one.reason] += one.rows
    return dict(found)


def ids(connection: Connection[TupleRow], table: str) -> list[object]:
    """The values of the first column of a table's rows, in order."""
    statement = sql.SQL("SELECT * FROM {} ORDER BY 1").format(sql.Identifier(*table.split(".")))
    return [row[0] for row in connection.execute(statement)]
