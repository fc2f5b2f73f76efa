"""Recorded runs as sections of rows, for table and Markdown: pairs, objects, causes, leaks … Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import RecordedRun, ServerReport
from pgwatch_tests.record.run_summary import BlockedSum
from pgwatch_tests.reports.runs import run_words
from pgwatch_tests.reports.runs.failed_tests import failed_tests
from pgwatch_tests.reports.runs.run_words import Shown
from pgwatch_tests.reports.sections import Section
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain, shortened_left, shortened_middle


@dataclass(frozen=True, slots=True)
class Style:
    """How a format shows somebody's text, and how much of it in a cell."""

    shown: Shown
    name_width: int
    statement_width: int = 120
    with_all_figures: bool = True
    """Whether sums have their share and number of waits beside blocked time and longest wait."""

    def name(self, text: str) -> str:
        """The name of a test, session or object, shortened."""
        cut = shortened_left if "::" in text else shortened_middle
        return self.shown(cut(plain(text), self.name_width))

    def statement(self, text: str) -> str:
        """A statement on one line, shortened."""
        return self.shown(plain(" ".join(text.split()), self.statement_width)) if text else ""


def pairs(server: ServerReport, style: Style) -> Section:
    """Blocked time by pair of tests, largest first."""
    total_s = server.blocked_s
    rows = [
        (*_figures(one.sum, total_s), style.name(one.blocker), style.name(one.waiter))
        for one in sums.pairs(server.waits)
    ]
    return _sums(rows, ("Blocking test", "Waiting test"), "By pair of tests", style)


def objects(server: ServerReport, style: Style) -> Section:
    """Blocked time by what was waited for."""
    total_s = server.blocked_s
    rows = [
        (*_figures(one.sum, total_s), style.name(one.object), style.name(one.mode))
        for one in sums.objects(server.waits)
    ]
    return _sums(rows, ("Object", "Lock mode"), "By object", style)


def causes(server: ServerReport, style: Style) -> Section:
    """Blocked time by cause."""
    total_s = server.blocked_s
    rows = [
        (*_figures(one.sum, total_s), run_words.because(one.cause, style.shown))
        for one in sums.causes(server.waits)
    ]
    return _sums(rows, ("Cause",), "By cause", style)


_FIGURES = ("Blocked", "Longest", "Share", "Waits")


def _sums(rows: Sequence[tuple[str, ...]], columns: tuple[str, ...], heading: str, style: Style) -> Section:
    figures = len(_FIGURES) if style.with_all_figures else 2
    kept = [(*row[:figures], *row[len(_FIGURES) :]) for row in rows]
    return Section((*_FIGURES[:figures], *columns), "r" * figures + "l" * len(columns), kept, heading)


def _figures(blocked: BlockedSum, total_s: float) -> tuple[str, str, str, str]:
    """As in _FIGURES; `total_s`: of all waits."""
    share = f"{100 * blocked.blocked_s / total_s:.0f} %" if total_s else ""
    return durations.short(blocked.blocked_s), durations.short(blocked.longest_s), share, f"{blocked.waits:,}"


def failures(server: ServerReport, style: Style) -> Section:
    """Failed and flaky tests, those that were blocked longest first."""
    rows = [
        (
            style.name(one.outcome.test),
            one.words,
            durations.short(one.blocked_s) if one.blocked_s else "",
            style.name(one.blocker) if one.blocker else "",
        )
        for one in failed_tests(server)
    ]
    return Section(("Test", "Outcome", "Blocked", "Behind"), "llrl", rows, "Failed and flaky tests")


def leaks(server: ServerReport, style: Style) -> Section:
    """What was left, and by which test as far as it is known."""
    several = len({leak.database for leak in server.leaks}) > 1
    rows = [
        (
            f"{leak.rows:,}",
            f"{run_words.leaked(leak)} {style.name(leak.name)}"
            f"{f' in {style.name(leak.database)}' if several and leak.database else ''}",
            run_words.leaked_by(leak, style.name),
            run_words.known_by(leak),
        )
        for leak in server.leaks
    ]
    return Section(("Rows", "Left", "Test", "Known by"), "rlll", rows, "Leaks by test")


def plugin_findings(server: ServerReport, style: Style) -> Section:
    """What the pytest plugin found besides: rows without a marker, rows that were gone in the end …"""
    rows = [(run_words.found_by(one, style.name), style.shown(one.reason)) for one in server.plugin_findings]
    return Section(("Test", "Finding"), "ll", rows, "Also found by the pytest plugin")


def last_sessions(runs: Sequence[RecordedRun], style: Style) -> Section:
    """What sessions did in the last polls of runs that didn't come to their end."""
    pictures = [run.last for run in runs if run.last is not None]
    rows = [
        (
            style.name(one.side.who),
            run_words.doing(one, style.name),
            style.statement(one.side.statement),
        )
        for picture in pictures
        for one in picture.sessions
    ]
    named = style.name(runs[0].label) if len(runs) == 1 else f"{len(runs):,} runs"
    when = max((picture.at for picture in pictures), default=None)
    heading = f"Last poll of {named}{f', {run_words.utc(when)}' if when else ''}"
    return Section(("Session", "Doing", "Statement"), "lll", rows, heading)


def runs(every: tuple[RecordedRun, ...], style: Style) -> Section:
    """The runs, and how each ended."""
    rows = [
        (
            style.name(run.label),
            run_words.ending(run),
            durations.short(run.watched_s),
            f"{len(run.waits):,}",
            f"{sum(leak.rows for leak in run.leaks):,}" if run.leaks_checked else "?",
        )
        for run in every
    ]
    return Section(("Run", "Ended", "Watched", "Waits", "Left"), "llrrr", rows, "Runs")


def deadlock_sentences(
    server: ServerReport, style: Style, *, with_statements: bool = True
) -> list[list[str]]:
    """Of each deadlock, a line on all of it, one per member with its statement, and what helps."""
    return [
        [
            f"{run_words.utc_clock(one.at)} {run_words.deadlock(one, style.name)}",
            *(
                f"{style.shown(member.side.who)}: "
                f"{style.statement(member.side.statement) or 'statement not known'}"
                for member in one.members
                if with_statements
            ),
            *([f"→ {style.shown(one.advice)}"] if one.advice and with_statements else []),
        ]
        for one in server.deadlocks
    ]


def wait_sentences(server: ServerReport, style: Style, most: int) -> list[list[str]]:
    """The longest wait of each pair, in the order of `pairs`: who, why, both statements, and what helps."""
    longest = sums.longest_by_pair(server.waits)
    sentences = []
    for one in sums.pairs(server.waits)[:most]:
        found = longest.get((one.blocker, one.waiter))
        if found is None:
            continue
        wait, blocker = found
        sentences.append(
            [
                f"{run_words.utc_clock(wait.began)} {run_words.waiting(wait, style.shown)}",
                f"waits: {style.statement(wait.waiter.statement) or 'statement not known'}",
                f"blocks: {style.statement(blocker.statement) or 'statement not known'}",
                *([f"→ {style.shown(wait.advice)}"] if wait.advice else []),
            ]
        )
    return sentences


def advice(server: ServerReport, shown: Callable[[str], str]) -> list[str]:
    """What helps against each cause, most blocked time first: `idle in transaction: end the …`."""
    return [
        f"{run_words.because(one.cause, shown)}: {shown(one.advice)}"
        for one in sums.causes(server.waits)
        if one.advice
    ]
