"""Histories to test with, and what is put into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.model import Kept, Orphan, SweepReport, TableRows

BEGIN = datetime(2026, 11, 1, 2, 30, 0, 123456, UTC)


def settings(history: Path | Dsn, dsn: str = "postgresql://me:hunter2@db.example:5433/test_app") -> Settings:
    """Settings that name a history."""
    return Settings(Dsn(dsn, "--dsn"), history=history)


def entry(number: int = 0, job: str = "", database: str = "test_app") -> HistoryEntry:
    """The entry of a sweep, not recorded yet; each `number` is a minute later."""
    return HistoryEntry(
        started_at=BEGIN + timedelta(minutes=number),
        action="sweep",
        trigger="schedule" if job else "command line",
        job=job,
        account="ci@runner",
        pid=4711,
        role="sweeper",
        server="db.example:5433",
        database=database,
        dry_run=False,
        kinds=("rows", "schemas"),
        markers=("test email",),
        min_age_s=600.0,
        result="done",
        deleted_rows=number,
        duration_s=0.25,
    )


def report(database: str = "test_app", *, interrupted: bool = False, error: str = "") -> SweepReport:
    """What a sweep came to that deleted three rows and kept two."""
    return SweepReport(
        started_at=BEGIN,
        server_version="18.1",
        database=database,
        dry_run=False,
        kinds=("rows", "schemas"),
        markers=("test email",),
        min_age_s=600.0,
        planned=(TableRows("public", "users", 2, 0), TableRows("public", "bookings", 1, 1)),
        deleted=(TableRows("public", "users", 2, 0), TableRows("public", "bookings", 0, 1)),
        kept=(Kept("public", "child\udcffren", 2, "locked", "by pid 3\x00"),),
        orphans=(
            Orphan("schemas", "test_1", True, age_s=900.0),
            Orphan("schemas", "test_2", False, "in_use"),
        ),
        not_checked=(),
        passes=1,
        duration_s=1.5,
        longest_transaction_s=0.125,
        interrupted=interrupted,
        error=error,
    )
