"""A sweep as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from pgwatch_tests import durations
from pgwatch_tests.reports import sweep_words
from pgwatch_tests.reports.plain_text import plain
from pgwatch_tests.reports.sweep_words import explained, outcome, summary_of_databases
from pgwatch_tests.sweep.model import Kept, Orphan, SweepReport, SweepsOfDatabases

_MOST_ROWS = 200  # the other formats name all


def table(report: SweepReport) -> str:
    """What went, or would go; what stays, why, and what to do; and in one line what it comes to."""
    sections = [
        *_deleted(report),
        *_grid(("Kept", "Rows", "Why", "Detail"), "lrll", [_kept_row(kept) for kept in report.kept]),
        *_grid(
            ("Left behind", "Name", "Age", "What becomes of it", "Detail"),
            "llrll",
            [_orphan_row(orphan, report.dry_run) for orphan in report.orphans],
        ),
    ]
    hints = sweep_words.hints(report)
    if hints:
        sections.append("\n".join(("What to do about what is kept:", *(f"  {hint}" for hint in hints))))
    if report.not_checked:
        lines = (f"  {plain(sentence)}" for sentence in report.not_checked)
        sections.append("\n".join(("Not checked:", *lines)))
    if report.error:
        sections.append(f"Ended early: {plain(report.error)}")
    sections.append("\n".join((outcome(report), *sweep_words.scope(report, plain))))
    return "\n\n".join(sections)


def table_of_databases(sweeps: SweepsOfDatabases) -> str:
    """The same for each database under its name, those that weren't swept, and all of it in one line."""
    sections = [f"== {plain(report.database)} ==\n\n{table(report)}" for report in sweeps.sweeps]
    sections += _grid(
        ("Database not swept", "Reason"),
        "ll",
        [(plain(one.database), plain(one.reason)) for one in sweeps.not_swept],
    )
    sections.append(summary_of_databases(sweeps))
    return "\n\n".join(sections)


def _deleted(report: SweepReport) -> list[str]:
    rows = sweep_words.gone(report)
    return _grid(
        ("Would be deleted from" if report.dry_run else "Deleted from", "Rows", "Marked", "Dependent"),
        "lrrr",
        [
            (
                plain(sweep_words.table_name(one.schema, one.table)),
                f"{one.total:,}",
                f"{one.marked:,}",
                f"{one.dependent:,}",
            )
            for one in rows
        ],
    )


def _kept_row(kept: Kept) -> tuple[str, ...]:
    return (
        plain(sweep_words.table_name(kept.schema, kept.table)),
        f"{kept.rows:,}",
        explained(kept.reason).words,
        plain(kept.detail),
    )


def _orphan_row(orphan: Orphan, dry_run: bool) -> tuple[str, ...]:
    return (
        sweep_words.kind(orphan.kind),
        plain(orphan.name),
        "" if orphan.age_s is None else durations.in_words(orphan.age_s),
        sweep_words.fate(orphan, dry_run),
        plain(orphan.detail),
    )


def _grid(headers: Sequence[str], alignment: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Nothing if there are no rows."""
    if not rows:
        return []
    # Without `disable_numparse`, a table named "1e5" would become the number 100000.
    text = tabulate(
        rows[:_MOST_ROWS],
        headers,
        tablefmt="simple",
        colalign=["right" if side == "r" else "left" for side in alignment],
        disable_numparse=True,
    )
    more = len(rows) - _MOST_ROWS
    return [f"{text}\n… and {more:,} more" if more > 0 else text]
