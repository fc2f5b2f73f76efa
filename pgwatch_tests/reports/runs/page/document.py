"""Page of a report on recorded runs: one file, which loads and sends nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache, partial
from importlib.resources import files

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import RunReport, ServerReport
from pgwatch_tests.reports.render import html_text
from pgwatch_tests.reports.render.html_text import Child, Element, Static, element
from pgwatch_tests.reports.runs import run_words
from pgwatch_tests.reports.runs.page import sections
from pgwatch_tests.reports.runs.page.timeline import Timeline
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import at_least, plural

TITLE = "pgwatch-tests report"
MOST_ROWS = 100
"""Rows of each table where nobody asked for another number."""
_NAME_PARTS = re.compile(r"(?<=::)|(?<=/)|(?<=_)(?=[^_])")


def document(report: RunReport, most: int = MOST_ROWS) -> str:
    """The page, with at most that many rows in each table."""
    several = len(report.servers) > 1
    return html_text.page(
        TITLE,
        _static("style", "page.css"),
        _static("script", "page.js"),
        _tools(),
        element(
            "main",
            *_head(report),
            *(
                child
                for number, server in enumerate(report.servers, 1)
                for child in _server(server, f"s{number}-", several, most)
            ),
            *_rest(report),
        ),
        _told(),
    )


@cache
def _static(name: str, file: str) -> Static:
    return Static(name, files(__package__).joinpath(file).read_text(encoding="utf-8"))


def _tools() -> Element:
    return element(
        "header",
        element(
            "div",
            element("h1", TITLE),
            element(
                "input",
                type="search",
                id="filter",
                placeholder="Filter rows",
                aria_label="Show only rows with these words",
                spellcheck="false",
                hidden=True,
                data_script="",
            ),
            element(
                "select",
                *(element("option", f"{theme} theme", value=theme) for theme in ("system", "light", "dark")),
                id="theme",
                aria_label="Colours",
                hidden=True,
                data_script="",
            ),
            class_="top",
        ),
        class_="bar-of-tools",
    )


def _told() -> Element:
    """What is told of a wait that was chosen in the time line."""
    return element(
        "div",
        element("p"),
        element("a", "Show its row", href="#"),
        element("button", "Close", type="button", class_="tool"),
        id="told",
        class_="told",
        role="status",
        hidden=True,
    )


def _head(report: RunReport) -> Iterator[Child]:
    """The verdict, what was run, and the figures that lead to their sections."""
    runs = report.runs
    bad = any(server.hangs or server.deadlocks for server in report.servers) or any(
        run.was_cut_off or (run.facts and run.facts.exit_code) for run in runs
    )
    warn = report.unreadable or any(
        server.waits or server.leaks or server.plugin_findings for server in report.servers
    )
    class_ = "verdict bad" if bad else "verdict warn" if warn else "verdict"
    yield element("p", *_breakable(run_words.verdict(report, str)), class_=class_)
    if len(runs) == 1 and runs[0].facts is not None:
        facts = runs[0].facts
        yield element(
            "ul",
            *(element("li", line) for line in run_words.about(facts, str)),
            element("li", run_words.utc(facts.began)),
            element("li", html_text.link("CI job", facts.ci_url)) if facts.ci_url else None,
            class_="facts",
        )
    yield _tiles(report)


def _breakable(words: str) -> Iterator[Child]:
    """A sentence whose long names of tests break between their words on a narrow screen."""
    first, *others = _NAME_PARTS.split(words)
    yield first
    for part in others:
        yield element("wbr")
        yield part


def _tiles(report: RunReport) -> Element:
    """The figures; `?` for what wasn't recorded or checked, and `7+` where some of it wasn't."""
    runs = report.runs
    recorded, checked = all(run.polls for run in runs), all(run.leaks_checked for run in runs)
    any_recorded = any(run.polls for run in runs)
    blocked_s = sum(server.blocked_s for server in report.servers)
    deadlocks = sum(len(server.deadlocks) for server in report.servers)
    leaked = sum(leak.rows for server in report.servers for leak in server.leaks if leak.kind == "rows")
    others = sum(leak.kind != "rows" for server in report.servers for leak in server.leaks)
    longest_s = max((wait.waited_s for server in report.servers for wait in server.waits), default=0.0)
    tiles = (
        ("blocked", durations.in_words(blocked_s if any_recorded else None), "waits", bool(blocked_s)),
        ("longest wait", durations.in_words(longest_s if any_recorded else None), "waits", bool(longest_s)),
        ("deadlocks", at_least(deadlocks, recorded), "deadlocks", bool(deadlocks)),
        ("leaked rows", at_least(leaked, checked), "leaks", bool(leaked)),
        ("other leftovers", at_least(others, checked), "leaks", bool(others)),
    )
    first = next((number for number, server in enumerate(report.servers, 1) if server.servers), 1)
    return element(
        "ul",
        *(
            element(
                "li",
                element("a", element("b", figure), words, href=f"#s{first}-{target}"),
                class_=("bad" if target == "deadlocks" else "warn") if is_finding else None,
            )
            for words, figure, target, is_finding in tiles
        ),
        class_="tiles",
    )


def _server(server: ServerReport, prefix: str, several: bool, most: int) -> Iterator[Child]:
    section = partial(_section, level="h3" if several else "h2")
    worst = sums.largest(server.waits, most)
    title = run_words.server_title(server, str)
    yield element("h2", title) if several else element("p", title, class_="quiet")
    if server.hangs:
        yield section("Hangs", prefix + "hangs", *sections.hangs(server))
    cut_off = [run for run in server.runs if run.last is not None]
    if cut_off:
        found = (child for run in cut_off for child in sections.last_sessions(run, most))
        yield section("Last poll", prefix + "last", *found)
    if server.span is not None and server.servers:
        picture = Timeline(server, server.span, worst, prefix).figure()
        yield section("Time line", prefix + "timeline", _span(server.span.since, server.span.until), picture)
    yield from _blocking(server, prefix, most, section)
    if (failed := sections.failures(server, most)) is not None:
        yield section("Failed tests", prefix + "failed", failed)
    by_plugin = sections.plugin_findings(server, most)
    leaks = sections.leaks(server, most) or (_no_leaks(server) if by_plugin is None else None)
    yield section("Leaks", prefix + "leaks", leaks, by_plugin)
    if server.is_recorded:
        seen = sections.tests(server, most) or _nothing("No test named itself.")
        yield section("Tests", prefix + "tests", seen)


def _blocking(
    server: ServerReport, prefix: str, most: int, section: Callable[..., Element]
) -> Iterator[Child]:
    if not server.is_recorded:
        words = _nothing("Nothing was recorded: of waits and deadlocks nothing is known.")
        yield element("div", section("Blocked time", prefix + "waits", words), id=prefix + "deadlocks")
        return
    yield section(
        "Deadlocks",
        prefix + "deadlocks",
        *(
            sections.deadlocks(server, prefix, most)
            if server.deadlocks
            else [_nothing("No deadlock was seen.")]
        ),
    )
    if not server.waits:
        yield section("Blocked time", prefix + "waits", _nothing("Nothing was blocked."))
        return
    worst = sums.largest(server.waits, most)
    yield section(
        "Blocked time",
        prefix + "waits",
        sections.pairs(server, most),
        sections.objects(server, most),
        sections.causes(server, most),
        sections.waits(server, worst, prefix),
    )


def _rest(report: RunReport) -> Iterator[Child]:
    runs = report.runs
    if len(runs) != 1:
        yield _section("Runs", "runs", sections.runs(runs))
    lines = [
        *(f"{one.name}: {one.reason}" for one in report.unreadable),
        *run_words.not_checked(runs),
        *(
            f"Not watched from {run_words.utc(gap.since)} for {durations.in_words(gap.seconds)}."
            for server in report.servers
            for gap in server.gaps
        ),
        *(
            f"{run.label}: the recording wasn't ended by its recorder; the last poll in it is of "
            f"{run_words.utc(run.until)}."
            for run in runs
            if not run.is_whole and run.until is not None
        ),
    ]
    if lines:
        yield _section(
            "Not watched, not checked", "not-checked", element("ul", *(element("li", line) for line in lines))
        )


def _section(heading: str, place: str, *children: Child, level: str = "h2") -> Element:
    return element("section", element(level, heading), *children, id=place)


def _span(since: datetime, until: datetime) -> Element:
    return element("p", f"{run_words.utc(since)} to {run_words.utc(until)}", class_="quiet")


def _nothing(words: str) -> Element:
    return element("p", words, class_="quiet")


def _no_leaks(server: ServerReport) -> Element:
    checked = sum(run.leaks_checked for run in server.runs)
    if not checked:
        return _nothing("Leaks weren't checked.")
    if checked < len(server.runs):
        return _nothing(
            f"Nothing was left, as far as checked: {plural(len(server.runs) - checked, 'run')} not."
        )
    return _nothing("Nothing was left.")
