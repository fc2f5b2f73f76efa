"""Indexes for leak counts as text for people: those that are there, what is planned, and the outcome."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.leaks.indexes.index_model import IndexOutcome, IndexPlan, LeakIndex, PlannedIndex
from pgwatch_tests.reports.render import text_table
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import byte_size, plural
from pgwatch_tests.text.plain_text import plain

_RESULTS = {
    "made": "made",
    "unused": "made, but",
    "dropped": "dropped",
    "failed": "not done:",
}


def listing(indexes: Sequence[LeakIndex]) -> str:
    """The indexes that are there, and whether they serve a scan."""
    if not indexes:
        return "no index for leak counts"
    return text_table.table(
        ("Table", "Index", "Size", "State"),
        "llrl",
        [
            (_name(one.schema, one.table), plain(one.name), byte_size(one.bytes), state(one))
            for one in indexes
        ],
    )


def state(index: LeakIndex) -> str:
    """Whether scans use it, and why not."""
    if not index.valid:
        return "invalid: left by an interrupted run, serves nothing"
    return "serves scans" if index.fits else "made for other markers or columns, serves no scan"


def plan_text(plan: IndexPlan) -> str:
    """What would be made and what it costs; what can't be; what has its index already."""
    sections = []
    if plan.planned:
        sections.append(
            text_table.table(
                ("Table", "Table size", "Index size", "Takes about", "A row written", "Replaces"),
                "lrrrrl",
                [_planned(one) for one in plan.planned],
            )
        )
        sections.append(
            "Each INSERT, and each UPDATE that isn't HOT, checks the row for markers (time and columns\n"
            "above); an UPDATE that changes one of these columns is no longer HOT. While an index is made,\n"
            "reads and writes go on, but ALTER TABLE, TRUNCATE, VACUUM and other index builds on its\n"
            "table wait."
        )
    if plan.impossible:
        sections.append(
            text_table.table(
                ("No index for", "Reason", "What would help"),
                "lll",
                [
                    (_name(one.schema, one.table), plain(one.reason), plain(one.hint))
                    for one in plan.impossible
                ],
            )
        )
    lines = []
    if plan.present:
        lines.append(f"already indexed: {', '.join(_name(one.schema, one.table) for one in plan.present)}")
    if plan.small:
        tables = f"{plural(plan.small, 'table')} {'is' if plan.small == 1 else 'are'}"
        least = byte_size(plan.smallest_bytes)
        lines.append(f"{tables} smaller than {least}: no index, unless --table names it")
    if not plan.planned:
        lines.append(f"nothing to make in {plain(plan.database)}")
    return "\n\n".join([*sections, *(["\n".join(lines)] if lines else [])])


def outcome_line(outcome: IndexOutcome) -> str:
    """`made public.users: pgwatch_leak_users_0c1f… (1.9 s)`."""
    line = f"{_name(outcome.schema, outcome.table)}: {plain(outcome.name)} {_RESULTS[outcome.result]}"
    if outcome.detail:
        return f"{line} {plain(outcome.detail)}"
    return f"{line} ({durations.in_words(outcome.duration_s)})"


def _planned(one: PlannedIndex) -> tuple[str, ...]:
    columns = plural(one.columns, "column")
    return (
        _name(one.schema, one.table),
        byte_size(one.table_bytes),
        byte_size(one.index_bytes),
        durations.in_words(one.build_s),
        f"+{one.write_s * 1e6:.1f} µs ({columns})",
        ", ".join(
            f"{plain(old.name)} ({'other markers' if old.valid else 'invalid'})" for old in one.replaces
        ),
    )


def _name(schema: str, name: str) -> str:
    return plain(f"{schema}.{name}")
