"""Time line of a server as SVG: blocked sessions over time, and a lane per waiting test. Pure.

Places are percentages, so that it is as wide as its reader's screen, and text keeps its size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import ServerReport
from pgwatch_tests.record.merging.watched import Span
from pgwatch_tests.record.model import DeadlockEvent, WaitEvent
from pgwatch_tests.reports.render.html_text import Element, element
from pgwatch_tests.reports.runs import run_words
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

STEPS = 240
MOST_LANES = 30
_KINDS = 6  # colours; the last one is that of all other causes
_LOAD_HEIGHT = 64
_LANE_HEIGHT = 16
_ZOOMS = (1, 4, 16)
_EDGE = 0.08
"""The share of the width that half a time of day may take, on a phone."""
_TICKS = 6
_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


class Timeline:
    """The picture of one server; `prefix` begins the ids of its waits and deadlocks."""

    def __init__(self, server: ServerReport, span: Span, waits: Sequence[WaitEvent], prefix: str) -> None:
        """`waits` are those that have a row in the page: each gets a bar that leads there."""
        self._server = server
        # A suite of a moment still has a length.
        self._span = span if span.seconds >= 1 else Span(span.since, span.since + timedelta(seconds=1))
        self._waits = waits
        self._prefix = prefix
        kinds = [one.cause for one in sums.causes(server.waits)]
        self._kinds = {cause: min(place, _KINDS - 1) for place, cause in enumerate(kinds)}

    def figure(self) -> Element:
        """The whole picture, its legend, and what switches its scale."""
        return element(
            "div",
            self._zooms(),
            element(
                "div",
                element("div", self._load(), *self._lanes(), class_="plot"),
                class_="scroll",
                tabindex=0,
                role="group",
                aria_label="Time line: the arrow keys go from wait to wait, which a table below has too",
            ),
            self._legend(),
            class_="figure",
        )

    def _zooms(self) -> Element:
        buttons = (
            element(
                "button",
                f"×{zoom}",
                type="button",
                class_="tool",
                data_zoom=zoom,
                aria_pressed="true" if zoom == 1 else "false",
                aria_label=f"Time line {zoom} times as wide",
            )
            for zoom in _ZOOMS
        )
        return element("p", *buttons, class_="zooms", hidden=True, data_script="")

    def _load(self) -> Element:
        """Blocked sessions over time, gaps, deadlocks, hangs, and the clock."""
        steps = sums.blocked_over_time(self._server.waits, self._span.since, self._span.until, STEPS)
        peak = max(steps, default=0)
        outline = [f"0,{peak}"]
        for place, blocked in enumerate(steps):
            outline += [f"{place},{peak - blocked}", f"{place + 1},{peak - blocked}"]
        outline.append(f"{STEPS},{peak}")
        area = element(
            "svg",
            element("polygon", points=" ".join(outline)),
            viewBox=f"0 0 {STEPS} {max(1, peak)}",
            preserveAspectRatio="none",
            width="100%",
            height=_LOAD_HEIGHT,
            y=16,
            class_="load",
        )
        return element(
            "svg",
            *self._gaps(_LOAD_HEIGHT + 16),
            element("text", f"blocked sessions, peak {peak:,}", x=0, y=11),
            *self._ticks(),
            area if peak else None,
            *self._hangs(),
            *self._deadlocks(),
            width="100%",
            height=_LOAD_HEIGHT + 34,
            role="img",
            aria_label=self._in_words(peak),
        )

    def _in_words(self, peak: int) -> str:
        return (
            f"Blocked sessions from {run_words.utc(self._span.since)} to {run_words.utc(self._span.until)}: "
            f"at most {peak:,} at once, {plural(len(self._server.deadlocks), 'deadlock')}, "
            f"not watched for {durations.in_words(self._server.unwatched_s)}"
        )

    def _ticks(self) -> Iterator[Element]:
        """Times of day; more of them where the picture is wider."""
        shown: set[int] = set()
        for zoom, class_ in zip(_ZOOMS, ("tick", "tick fine", "tick finest"), strict=True):
            wanted_s = self._span.seconds / (_TICKS * zoom)
            step_s = next((step for step in _TICK_STEPS_S if step >= wanted_s), _TICK_STEPS_S[-1])
            first = -(-int(self._span.since.timestamp()) // step_s) * step_s
            for number, moment_s in enumerate(range(first, int(self._span.until.timestamp()) + 1, step_s)):
                if moment_s in shown:
                    continue
                shown.add(moment_s)
                moment = datetime.fromtimestamp(moment_s, UTC)
                place = self._place(moment)
                line = element("line", x1=place, x2=place, y1=16, y2=_LOAD_HEIGHT + 16, class_=class_)
                form = "%H:%M" if step_s >= 60 else "%H:%M:%S"
                label = element(
                    "text", f"{moment:{form}}", x=place, y=_LOAD_HEIGHT + 30, text_anchor=self._anchor(moment)
                )
                odd = " odd" if number % 2 else ""
                yield element("g", line, label, class_=f"{class_}{odd}")

    def _anchor(self, moment: datetime) -> str:
        """Where a text begins from its place, so that the edges cut none off."""
        share = (moment - self._span.since) / (self._span.until - self._span.since)
        return "start" if share < _EDGE else "end" if share > 1 - _EDGE else "middle"

    def _gaps(self, height: int) -> Iterator[Element]:
        for gap in self._server.gaps:
            lasted = durations.in_words(gap.seconds)
            title = element("title", f"not watched for {lasted} from {run_words.utc_clock(gap.since)} UTC")
            yield element(
                "rect",
                title,
                x=self._place(gap.since),
                width=self._width(gap.seconds),
                y=0,
                height=height,
                class_="gap",
            )

    def _hangs(self) -> Iterator[Element]:
        for hang in self._server.hangs:
            title = element("title", f"hang told at {run_words.utc_clock(hang.at)} UTC")
            place = self._place(hang.at)
            yield element("line", title, x1=place, x2=place, y1=16, y2=_LOAD_HEIGHT + 16, class_="when")

    def _deadlocks(self) -> Iterator[Element]:
        for number, deadlock in enumerate(self._server.deadlocks, 1):
            place = self._place(deadlock.at)
            yield element(
                "a",
                element("title", f"deadlock at {run_words.utc_clock(deadlock.at)} UTC: {_members(deadlock)}"),
                element("line", x1=place, x2=place, y1=16, y2=_LOAD_HEIGHT + 16, class_="when"),
                element("svg", element("path", d="M-5,0 L5,0 L0,8 Z", class_="flag"), x=place, y=14),
                href=f"#{self._prefix}d{number}",
                tabindex=-1,
                aria_hidden="true",
            )

    def _lanes(self) -> Iterator[Element]:
        """A lane per waiting test, those that were blocked longest first; the last one is for all others."""
        by_test: defaultdict[str, list[WaitEvent]] = defaultdict(list)
        for wait in self._waits:
            by_test[sums.label(wait.waiter)].append(wait)
        ranked = sorted(by_test.items(), key=lambda item: -sum(wait.waited_s for wait in item[1]))
        for test, waits in ranked[:MOST_LANES]:
            yield self._lane(element("code", test), waits)
        if others := ranked[MOST_LANES:]:
            waits = [wait for _, of_test in others for wait in of_test]
            yield self._lane(element("span", f"{plural(len(others), 'other')}", class_="quiet"), waits)

    def _lane(self, who: Element, waits: Sequence[WaitEvent]) -> Element:
        bars = [self._bar(wait) for wait in sorted(waits, key=lambda wait: wait.began)]
        return element(
            "div",
            element("div", who, class_="who"),
            element("svg", *bars, width="100%", height=_LANE_HEIGHT, class_="bars"),
            class_="lane",
        )

    def _bar(self, wait: WaitEvent) -> Element:
        kind = self._kinds.get(wait.cause, _KINDS - 1)
        return element(
            "a",
            element("title", told(wait)),
            element(
                "rect",
                x=self._place(wait.began),
                width=self._width(wait.waited_s),
                y=2,
                height=_LANE_HEIGHT - 5,
                class_=f"k{kind}",
            ),
            href=f"#{self._prefix}w{wait.number}",
            tabindex=-1,
        )

    def _legend(self) -> Element | None:
        known = [*self._kinds.items()]
        if not known:
            return None
        shown = known if len(known) <= _KINDS else known[: _KINDS - 1]
        words = [(kind, run_words.because(cause, plain)) for cause, kind in shown]
        if len(known) > _KINDS:
            words.append((_KINDS - 1, "other causes"))
        return element(
            "ul",
            *(
                element(
                    "li",
                    element(
                        "svg",
                        element("rect", width=11, height=11, class_=f"k{kind}"),
                        width=11,
                        height=11,
                        aria_hidden="true",
                    ),
                    text,
                )
                for kind, text in words
            ),
            class_="legend",
        )

    def _place(self, moment: datetime) -> str:
        share = (moment - self._span.since).total_seconds() / self._span.seconds
        return f"{100 * min(1.0, max(0.0, share)):.3f}%"

    def _width(self, lasted_s: float) -> str:
        return f"{100 * min(1.0, max(0.0, lasted_s / self._span.seconds)):.3f}%"


def told(wait: WaitEvent) -> str:
    """What a bar says of its wait: who, how long, for what, behind whom, and when."""
    until = wait.ended or wait.began + timedelta(seconds=wait.waited_s)
    last = f"to {run_words.utc_clock(until)} UTC" if wait.ended else "and was not over when last seen"
    began = run_words.utc_clock(wait.began)
    return f"{run_words.waiting(wait, plain)}, from {began} {last}"


def _members(deadlock: DeadlockEvent) -> str:
    return " and ".join(plain(member.side.who) for member in deadlock.members)
