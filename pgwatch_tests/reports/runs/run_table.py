"""Recorded runs as text for people: one screen, the worst first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import RunReport, ServerReport
from pgwatch_tests.reports.render import text_table
from pgwatch_tests.reports.render.screenful import LINES, WIDTH, Listed, ScreenSection, fitted, wrapped
from pgwatch_tests.reports.render.sparkline import sparkline
from pgwatch_tests.reports.runs import run_rows, run_words
from pgwatch_tests.reports.runs.run_rows import Style
from pgwatch_tests.reports.sections import Section
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_NARROW = Style(plain, 27, 60, with_all_figures=False)
_WIDE = Style(plain, 45, 120)
_CHART_WIDTH = 72
_MOST_GAPS = 1  # empty lines between sections, where room is short
_MOST_SERVERS = 3
_LONGEST_HANG = 8  # lines of its tree


def table(report: RunReport, top: int | None = None) -> str:
    """The verdict, and what it rests on, on one screen of 80 columns and 24 lines.

    With `top`: that many rows of each section, however long it gets.
    """
    style = _NARROW if top is None else _WIDE
    head = list(_head(report, style))
    sections = list(_sections(report, style))
    if top is not None:
        blocks = [section.lines(min(top, section.items)) for section in sections]
        return "\n\n".join("\n".join(block) for block in (head, *blocks) if block)
    whole = [section.lines(section.items) for section in sections]
    if len(head) + sum(len(lines) + 1 for lines in whole) <= LINES:
        return "\n\n".join("\n".join(block) for block in (head, *whole))
    gaps = min(_MOST_GAPS, len(sections))
    blocks = [block for block in fitted(sections, LINES - len(head) - gaps) if block]
    spare = LINES - len(head) - sum(map(len, blocks))
    lines = head
    for block in blocks:
        # The first sections are the worst: these stand apart as long as there is room.
        if spare > 0 and len(block) > 1:
            lines, spare = [*lines, ""], spare - 1
        lines = [*lines, *block]
    return "\n".join(lines)


def _head(report: RunReport, style: Style) -> Iterator[str]:
    yield from wrapped(run_words.verdict(report, replace(style, name_width=style.name_width + 8).name))
    runs = report.runs
    if len(runs) == 1 and runs[0].facts is not None:
        yield from wrapped(" · ".join(run_words.about(runs[0].facts, plain)), rest="  ")


@dataclass(frozen=True, slots=True)
class _Rows:
    """A table of which any number of rows can be shown."""

    section: Section
    in_all: str
    weight: int = 2

    @property
    def items(self) -> int:
        """How many rows there are."""
        return len(self.section.rows)

    def lines(self, shown: int) -> list[str]:
        """The first rows under a heading, and how many more there are."""
        if not shown:
            return [self.in_all] if self.in_all else []
        rows = self.section.rows[:shown]
        heading = self.section.heading
        lines = text_table.table(self.section.columns, self.section.alignment, rows).split("\n")
        more = [f"and {self.items - shown:,} more; --format json has all"] if shown < self.items else []
        return [*([heading] if heading else []), *lines, *more]


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Lines that are shown in any case."""

    said: Sequence[str]
    weight: int = 0
    items: int = 0

    def lines(self, _shown: int) -> list[str]:
        """All of them."""
        return [*self.said]


def _sections(report: RunReport, style: Style) -> Iterator[ScreenSection]:
    # Where all has to fit on a screen, the worst servers stand for all.
    shown = report.servers if style is _WIDE else report.servers[:_MOST_SERVERS]
    for server in shown:
        yield from _of_server(server, style, alone=len(shown) == 1 or style is _WIDE)
    if len(shown) < len(report.servers):
        yield _Fixed(
            [f"and {plural(len(report.servers) - len(shown), 'more server')}; --format json has all"]
        )
    runs = report.runs
    if len(runs) > 1:
        rows = run_rows.runs(runs, replace(style, name_width=24))
        yield _Rows(rows, f"{plural(len(runs), 'run')} in all", weight=1)
    unknown = [
        *(plain(f"{one.name}: {one.reason}") for one in report.unreadable),
        *map(plain, run_words.not_checked(runs)),
    ]
    if unknown:
        in_all = f"{plural(len(unknown), 'thing')} not read or not checked: --format json names them"
        yield Listed("Not read, not checked:", unknown, _rest(len(unknown)), in_all)


def _of_server(server: ServerReport, style: Style, *, alone: bool) -> Iterator[ScreenSection]:
    is_whole = style is _WIDE
    title = run_words.server_title(server, style.name)
    yield _Fixed([*wrapped(title, rest="  "), *_chart(server)] if alone else [plain(title, WIDTH)])
    if hangs := server.hangs:
        told = [
            [run_words.utc_clock(one.at), *map(plain, one.text.splitlines()[:_LONGEST_HANG])] for one in hangs
        ]
        yield Listed("Hangs (UTC):", told, _rest(len(told)), plural(len(told), "hang"), weight=3)
    if server.deadlocks:
        groups = run_rows.deadlock_sentences(server, style, with_statements=is_whole)
        yield Listed("Deadlocks:", groups, _rest(len(groups)), plural(len(groups), "deadlock"), weight=2)
    if server.waits:
        pairs = run_rows.pairs(server, style)
        yield _Rows(pairs, f"{plural(len(pairs.rows), 'pair')} of tests in each other's way", weight=4)
    if cut_off := [run for run in server.runs if run.last is not None and run.last.sessions]:
        last = run_rows.last_sessions(cut_off, style)
        in_all = f"{last.heading}: {plural(len(last.rows), 'session')}"
        if is_whole:
            yield _Rows(last, in_all, weight=2)
        else:
            said = [f"{session}: {doing}" for session, doing, *_ in last.rows]
            yield Listed(f"{last.heading}:", said, _rest(len(said)), in_all, weight=4)
    if server.waits:
        advice = run_rows.advice(server, plain)
        yield Listed("What to do:", advice, _rest(len(advice)), "", weight=2)
        objects = run_rows.objects(server, replace(style, name_width=style.name_width + 14))
        yield _Rows(objects, "", weight=1)
    failures = run_rows.failures(server, replace(style, name_width=style.name_width - 4))
    if failures.rows:
        yield _Rows(failures, f"{plural(len(failures.rows), 'test')} failed or flaky", weight=2)
    if server.leaks:
        leaks = run_rows.leaks(server, style)
        yield _Rows(leaks, f"{plural(len(leaks.rows), 'finding')} of what was left", weight=3)
    found = run_rows.plugin_findings(server, style)
    if found.rows:
        in_all = f"{plural(len(found.rows), 'finding')} more of the pytest plugin"
        yield _Rows(found, in_all, weight=2)


def _chart(server: ServerReport) -> list[str]:
    """Blocked sessions over time as a line of text, blank where nobody watched."""
    span = server.span
    if span is None or not server.waits or span.seconds <= 0:
        return []
    counts: list[int | None] = [*sums.blocked_over_time(server.waits, span.since, span.until, _CHART_WIDTH)]
    for gap in server.gaps:
        first = _place((gap.since - span.since).total_seconds(), span.seconds)
        last = _place((gap.until - span.since).total_seconds(), span.seconds)
        for place in range(first, last):
            counts[place] = counts[place] or None
    peak = max((count for count in counts if count is not None), default=0)
    when = f"{run_words.utc_clock(span.since)} to {run_words.utc_clock(span.until)} UTC"
    return [f"Blocked sessions, {when}, peak {peak:,}", sparkline(counts, _CHART_WIDTH)]


def _place(moment_s: float, length_s: float) -> int:
    return min(_CHART_WIDTH, round(moment_s * _CHART_WIDTH / length_s))


def _rest(items: int) -> Callable[[int], str]:
    return lambda shown: f"and {items - shown:,} more; --format json has all"
