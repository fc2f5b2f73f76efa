"""Sweeps as Markdown, for $GITHUB_STEP_SUMMARY and the like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgwatch_tests.reports.render import digest, markdown_text
from pgwatch_tests.reports.render.markdown_text import code, escaped, folded, table
from pgwatch_tests.reports.sweeps import sweep_databases, sweep_remarks, sweep_words
from pgwatch_tests.reports.sweeps.sweep_words import explained
from pgwatch_tests.sweep.model import SweepReport, SweepsOfDatabases
from pgwatch_tests.text import durations

_MOST_LINES = 100
_MOST_UNFOLDED = 20
_MOST_FOLDED = 1000


def document(sweeps: SweepReport | SweepsOfDatabases) -> str:
    """A heading, tables of what went and what stays, and what was swept.

    Of several databases: a row for each that has something to tell, what they have in common once, and folded
    up the whole of those with most rows, and the names of the others.
    """
    dry_run = any(report.dry_run for report in sweep_words.by_database(sweeps)[0])
    title = "## Sweep (dry run):" if dry_run else "## Sweep:"
    if isinstance(sweeps, SweepReport):
        title += f" {sweep_words.outcome(sweeps)} (database {code(sweeps.database)})"
        return markdown_text.document([title, *_sections(sweeps, "###")])
    if len(sweeps.sweeps) == 1 and not sweeps.not_swept:
        (report,) = sweeps.sweeps
        title += f" {sweep_words.outcome(report)} (database {code(sweep_words.place(report))})"
        return markdown_text.document([title, *_sections(report, "###")])
    title += f" {sweep_words.summary_of_databases(sweeps)}"
    reports = [
        (
            f"{escaped(sweep_words.place(report))}: {escaped(sweep_words.outcome(report))}",
            _sections(report, "####"),
        )
        for report in sweep_databases.telling(sweeps)
    ]
    told = sweep_databases.digest(sweeps, code)
    return markdown_text.document([title, *digest.markdown(told, reports, "rows")])


def _sections(report: SweepReport, level: str) -> Iterator[str]:
    yield from _list("", sweep_remarks.notes(report, code))
    yield from _deleted(report)
    for heading, sentences in sweep_remarks.listings(report, code):
        yield from _list(f"{level} {heading}", sentences)
    yield from folded(
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
    yield ". ".join([*sweep_words.scope(report, code), sweep_words.left_alone(report.kinds)]) + "."


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
        yield from folded(f"{words} {len(gone):,} tables", tables)
    else:
        yield from tables


def _list(heading: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        if heading:
            yield heading
        yield "\n".join(f"- {line}" for line in lines[:_MOST_LINES])
        if len(lines) > _MOST_LINES:
            yield f"… and {len(lines) - _MOST_LINES:,} more."
