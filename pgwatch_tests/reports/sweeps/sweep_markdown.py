"""Sweeps as Markdown, for $GITHUB_STEP_SUMMARY and the like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pgwatch_tests.reports.render.markdown_text import code, table
from pgwatch_tests.reports.sweeps import sweep_causes, sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.sweep_words import explained
from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases
from pgwatch_tests.text import durations

_MOST_LINES = 100
_MOST_UNFOLDED = 20
_MOST_FOLDED = 1000
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
    yield from _list("", sweep_remarks.notes(report, code))
    yield from _deleted(report)
    yield from _list(f"{level} Besides", [sentence for sentence, _ in sweep_remarks.beside(report, code)])
    left_by = [sentence for sentence, _ in sweep_remarks.left_by(report, code)]
    yield from _list(f"{level} Who left them", left_by)
    yield from _list(f"{level} Kept", [sweep_causes.sentence(cause, code) for cause in report.causes])
    yield from _folded(
        f"What is kept, by table ({len(report.kept):,})",
        table(
            ("Table", "Rows", "Why", "Detail"),
            "lrll",
            [
                (
                    code(sweep_words.table_name(kept.schema, kept.table)),
                    f"{kept.rows:,}",
                    explained(kept.reason).words,
                    code(kept.detail),
                )
                for kept in sorted(report.kept, key=lambda kept: -kept.rows)
            ],
            most=_MOST_FOLDED,
        ),
    )
    yield from table(
        ("Kind", "Name", "Age", "Result", "Detail"),
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


def _deleted(report: SweepReport) -> Iterator[str]:
    """The tables that rows go from, most first; where they are many, folded up behind their sum."""
    gone = sorted(sweep_words.gone(report), key=lambda one: -one.total)
    words = "Would be deleted from" if report.dry_run else "Deleted from"
    tables = table(
        (words, "Rows", "Marked", "Dependent", "Without a marker"),
        "lrrrr",
        [
            (
                code(sweep_words.table_name(one.schema, one.table)),
                sweep_remarks.rows_of(one),
                f"{one.marked:,}",
                f"{one.dependent:,}",
                f"{one.unmarked:,}",
            )
            for one in gone
        ],
        most=_MOST_FOLDED,
    )
    if len(gone) > _MOST_UNFOLDED:
        yield from _folded(f"{words} {len(gone):,} tables", tables)
    else:
        yield from tables


def _folded(summary: str, blocks: Iterable[str]) -> Iterator[str]:
    """The blocks behind a line that opens them: HTML, since Markdown knows nothing of the kind."""
    found = list(blocks)
    if found:
        yield f"<details><summary>{summary}</summary>"
        yield from found
        yield "</details>"


def _list(heading: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        if heading:
            yield heading
        yield "\n".join(f"- {line}" for line in lines[:_MOST_LINES])
        if len(lines) > _MOST_LINES:
            yield f"… and {len(lines) - _MOST_LINES:,} more."
