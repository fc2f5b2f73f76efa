"""Recorded runs as Markdown, for $GITHUB_STEP_SUMMARY and the like. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgwatch_tests.record.last_picture import MOST_SESSIONS
from pgwatch_tests.record.merging.merged import RunReport, ServerReport
from pgwatch_tests.reports.render import markdown_text
from pgwatch_tests.reports.render.markdown_text import block, code, table
from pgwatch_tests.reports.runs import run_rows, run_words
from pgwatch_tests.reports.runs.run_rows import Style
from pgwatch_tests.reports.sections import Section
from pgwatch_tests.text.plain_text import plain

MOST_BYTES = 900 * 1024
"""GitHub drops a step's summary of more than 1 MiB as a whole, and jobs write more than ours into it."""
MOST_ROWS = 5
"""Rows of each table, and deadlocks, so that it fits on a screen."""
_STYLE = Style(code, 60, 160)


def document(report: RunReport, top: int = MOST_ROWS) -> str:
    """The verdict, tables with at most `top` rows each, and what wasn't checked; at most `MOST_BYTES`."""
    most = min(top, _longest(report))
    while True:
        text = markdown_text.document(_blocks(report, most))
        size = len(text.encode())
        if size <= MOST_BYTES:
            return text
        if not most:
            return text.encode()[:MOST_BYTES].decode(errors="ignore")
        most = most * MOST_BYTES // (size + MOST_BYTES // 8)


def _longest(report: RunReport) -> int:
    """Rows that no table of the report has more of."""
    of_servers = (
        max(len(one.waits), len(one.leaks), len(one.deadlocks), len(one.plugin_findings))
        for one in report.servers
    )
    of_runs = (max(len(one.outcomes), len(one.not_checked), MOST_SESSIONS) for one in report.runs)
    return max([*of_servers, *of_runs, len(report.runs), len(report.unreadable)])


def _blocks(report: RunReport, most: int) -> Iterator[str]:
    yield f"## {run_words.verdict(report, code)}"
    runs = report.runs
    if len(runs) == 1 and runs[0].facts is not None:
        yield " · ".join(run_words.about(runs[0].facts, code))
    for server in report.servers:
        yield from _of_server(server, most)
    if len(runs) > 1:
        yield from _table(run_rows.runs(runs, _STYLE), most, "runs")
    unknown = [
        *(f"{code(one.name)}: {code(one.reason)}" for one in report.unreadable),
        *map(code, run_words.not_checked(runs)),
    ]
    if unknown:
        yield "### Not read, not checked"
        yield _list(unknown[: max(most, 1)])
        if len(unknown) > max(most, 1):
            yield f"… and {len(unknown) - max(most, 1):,} more."


def _of_server(server: ServerReport, most: int) -> Iterator[str]:
    yield f"{run_words.server_title(server, code)}."
    for hang in server.hangs[:most]:
        yield f"### Hang at {run_words.utc(hang.at)}"
        yield block("\n".join(map(plain, hang.text.splitlines())))
    if cut_off := [run for run in server.runs if run.last is not None]:
        yield from _table(run_rows.last_sessions(cut_off, _STYLE), most, "sessions")
    if server.deadlocks and most:
        yield "### Deadlocks"
        yield _groups(run_rows.deadlock_sentences(server, _STYLE)[:most])
        if len(server.deadlocks) > most:
            yield f"… and {len(server.deadlocks) - most:,} more."
    yield from _table(run_rows.failures(server, _STYLE), most, "tests")
    if server.waits:
        yield from _table(run_rows.pairs(server, _STYLE), most, "pairs")
        sentences = run_rows.wait_sentences(server, _STYLE, most)
        if sentences:
            yield _folded("The longest wait of each, and what to do", _groups(sentences))
        yield from _table(run_rows.objects(server, _STYLE), most, "objects")
        yield from _table(run_rows.causes(server, _STYLE), most, "causes")
    if server.leaks:
        yield from _table(run_rows.leaks(server, _STYLE), most, "findings")
    yield from _table(run_rows.plugin_findings(server, _STYLE), most, "findings")


def _table(section: Section, most: int, noun: str) -> Iterator[str]:
    return table(
        section.columns, section.alignment, section.rows, f"### {section.heading}", most=most, noun=noun
    )


def _groups(groups: Sequence[Sequence[str]]) -> str:
    """Items, the lines of each below its first."""
    return "\n".join(
        line for first, *others in groups for line in (f"- {first}", *(f"  - {other}" for other in others))
    )


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _folded(summary: str, text: str) -> str:
    """A block that opens on demand (GitHub's Markdown keeps `details`); `summary` is a constant."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"
