"""Reports of sweeps as they might come out, for tests of what is made of them."""

from __future__ import annotations

from datetime import UTC, datetime

from pgwatch_tests.sweep.model import DEFAULT_SWEEP_KINDS, Kept, Orphan, SweepReport, TableRows

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOTHING = SweepReport(
    started_at=AT,
    server_version="18.1",
    database="test_app",
    dry_run=True,
    kinds=DEFAULT_SWEEP_KINDS,
    markers=("test email", "test id"),
    min_age_s=600.0,
    planned=(),
    deleted=(),
    kept=(),
    orphans=(),
    not_checked=(),
    passes=0,
    duration_s=0.25,
    longest_transaction_s=0.0,
)
ROWS = (TableRows("public", "users", 3, 0), TableRows("public", "bookings", 1, 1200))
KEPT = (
    Kept("public", "users", 3, "too_young"),
    Kept("public", "invoices", 1, "locked", "by another session"),
)
ORPHANS = (
    Orphan("schemas", "test_1717171717171_4711_x7f3", True, detail="12 tables", age_s=7500.0),
    Orphan("schemas", "test_1717171717172_4712_y8g4", False, "run_alive", "its owner lives"),
    Orphan("prepared", "gid-1", True, age_s=700.0),
)
