"""Sweeps as Markdown, for $GITHUB_STEP_SUMMARY and the like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pgwatch_tests import durations
from pgwatch_tests.reports import sweep_words
from pgwatch_tests.reports.markdown_text import code, table
from pgwatch_tests.reports.sweep_words import explained
from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases

_MOST_LINES = 100
_MOST_DATABASES = 30  # what fits into a step's summary, as with a table's rows


def document(report: SweepReport) -> str:
    """A heading, tables of what went and what stays, and what was swept."""
    title = f"## {_what(report.dry_run)}: {sweep_words.outcome(report)} (database {code(report.database)})"
    return _joined([title, *_sections(report, "###")])


def document_of_databases(sweeps: SweepsOfDatabases) -> str:
    """The same for each database, below what they add up to; those with most rows first."""
    dry_run = any(report.dry_run for report in sweeps.sweeps)
    blocks = [f"## {_what(dry_run)}: {sweep_words.summary_of_databases(sweeps)}"]
    blocks += table(
        ("Database not swept", "Reason"),
        "ll",
        [(code(one.database), code(one.reason)) for one in sweeps.not_swept],
    )
    shown = sorted(sweeps.sweeps, key=lambda one: (-one.planned_rows, one.complete))
    for report in shown[:_MOST_DATABASES]:
        blocks.append(f"### {code(report.database)}: {sweep_words.outcome(report)}")
        blocks += _sections(report, "####")
    if len(shown) > _MOST_DATABASES:
        blocks.append(f"… and {len(shown) - _MOST_DATABASES:,} more databases, with fewer rows.")
    return _joined(blocks)


def _what(dry_run: bool) -> str:
    return "Sweep (dry run)" if dry_run else "Sweep"


def _joined(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def _sections(report: SweepReport, level: str) -> Iterator[str]:
    yield from table(
        ("Would be deleted from" if report.dry_run else "Deleted from", "Rows", "Marked", "Dependent"),
        "lrrr",
        [
            (
                code(sweep_words.table_name(one.schema, one.table)),
                f"{one.total:,}",
                f"{one.marked:,}",
                f"{one.dependent:,}",
            )
            for one in sweep_words.gone(report)
        ],
    )
    yield from table(
        ("Table", "Rows", "Why", "Detail"),
        "lrll",
        [
            (
                code(sweep_words.table_name(kept.schema, kept.table)),
                f"{kept.rows:,}",
                explained(kept.reason).words,
                code(kept.detail),
            )
            for kept in report.kept
        ],
        f"{level} Kept",
    )
    yield from table(
        ("Kind", "Name", "Age", "What becomes of it", "Detail"),
        "llrll",
        [
            (
                sweep_words.kind(orphan.kind),
                code(orphan.name),
                "" if orphan.age_s is None else durations.in_words(orphan.age_s),
                sweep_words.fate(orphan, report.dry_run),
                code(orphan.detail),
            )
            for orphan in report.orphans
        ],
        f"{level} Left behind",
    )
    yield from _list(f"{level} What to do", sweep_words.hints(report))
    yield from _list(f"{level} Not checked", [code(sentence) for sentence in report.not_checked])
    if report.error:
        yield f"**Ended early:** {code(report.error)}"
    yield ". ".join(sweep_words.scope(report, code)) + "."


def _list(heading: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield heading
        yield "\n".join(f"- {line}" for line in lines[:_MOST_LINES])
        if len(lines) > _MOST_LINES:
            yield f"… and {len(lines) - _MOST_LINES:,} more."
