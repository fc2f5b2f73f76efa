"""Reports of sweeps as they might come out, for tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pgwatch_tests.sweep.model import (
    ChangedRows,
    Kept,
    NotSwept,
    Orphan,
    SideEffects,
    SweepReport,
    SweepsOfDatabases,
    TableRows,
)
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS

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

FULL = replace(NOTHING, planned=ROWS, kept=KEPT, orphans=ORPHANS)
ACTED = replace(
    FULL,
    dry_run=False,
    deleted=(TableRows("public", "users", 3, 0),),
    passes=2,
    longest_transaction_s=0.1,
    duration_s=12.0,
)


def several(*reports: SweepReport, not_swept: tuple[NotSwept, ...] = ()) -> SweepsOfDatabases:
    """The sweeps of several databases as one."""
    return SweepsOfDatabases(AT, reports, not_swept, 1.0)


def of_tables(number: int, *, dry_run: bool = True) -> SweepReport:
    """A sweep of so many tables, in each of which something goes and something else stays."""
    names = [f"{_NOUNS[one % len(_NOUNS)]}_{one:03}" for one in range(number)]
    tables = tuple(
        TableRows("public", name, one * 7 % 331, 1 + one * one % 977, one % 13 if one % 5 == 0 else 0)
        for one, name in enumerate(names)
    )
    real = "public.x (id=7) bears no marker and refers to public.team"
    kept = [Kept("public", "team", 300, "shared_with_real_data", real)]
    kept += [Kept("public", f"member_{one}", 1, "shared_with_real_data", real) for one in range(17)]
    kept += [
        Kept(
            "public",
            name,
            1 + one % 4,
            "refused",
            f"trigger keep_{one} of public.{name} (function keep) raises",
        )
        for one, name in enumerate(names[::4])
    ]
    kept += [Kept("public", name, 3, "too_young") for name in names[:60]]
    return replace(
        NOTHING,
        dry_run=dry_run,
        planned=tables,
        deleted=() if dry_run else tables,
        kept=tuple(kept),
        passes=0 if dry_run else 2,
        duration_s=2.4,
        longest_transaction_s=0.0 if dry_run else 0.061,
        changed=tuple(ChangedRows("public", name, ("owner_id",), "set_null", 12) for name in names[:30]),
        side_effects=()
        if dry_run
        else tuple(SideEffects("public", f"{name}_audit", 40, 0, 0) for name in names[:20]),
    )


_NOUNS = ("account", "booking", "invoice", "payment", "session", "membership", "attachment", "event_type")
