"""The lines at the top: figures, verdict, and a banner while data is stale or polling is paused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from pgwatch_tests.locks.graph.lock_graph import graph_of
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.verdict.verdict import Clause, Facts, clauses, with_hint
from pgwatch_tests.reports.verdict.verdict_line import fitted
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Cell
from pgwatch_tests.tui.widgets.header_figures import Manner, Trend, header_line, with_runs
from pgwatch_tests.tui.widgets.still_text import StillText

_PADDING = 2


@dataclass(frozen=True, slots=True)
class Status:
    """What the lines at the top tell."""

    snapshot: LockSnapshot | None = None
    facts: Facts = field(default_factory=Facts)
    trend: Trend = ()
    manner: Manner = field(default_factory=Manner)
    hint: str = ""
    """Which key helps with what the verdict is about."""
    note: str = ""
    """What else there is to say of a recording's moment, as plain text."""
    absence: str = "Connecting …"
    """What is shown without a snapshot."""
    viewed: str = ""
    """Which moment of the past is looked at, in words; empty for the present."""
    paused: bool = False
    paused_keys: str = ""
    """What keys do while polling is paused, in words."""
    trouble: str = ""
    """Why the last poll failed; empty if it succeeded."""
    age_s: int = 0
    """How old the data is, in whole seconds."""


def _no_verdict(status: Status) -> tuple[Clause, ...]:
    """What is said where there is no snapshot: the reason for that."""
    if status.manner.is_recorded or not status.trouble:
        return ()
    return (Clause((f"no data yet: {plain(status.trouble)}",), "trouble"),)


class StatusLine(Vertical):
    """A line of figures, the verdict, and a banner while the data is stale or polling is paused."""

    status: reactive[Status] = reactive(Status(), repaint=False)

    def __init__(self) -> None:
        super().__init__()
        self._clauses: tuple[Clause, ...] = ()
        self._in_banner: tuple[str, str] | None = None
        """What the banner says, and its class: `stale`, `past` or none."""

        # Kept: they are drawn with each poll, and a query takes longer than that.
        self._lines = (
            StillText(id="figures", ground="panel"),
            StillText(id="verdict"),
            StillText(id="banner", ground="panel"),
        )

    def compose(self) -> ComposeResult:
        yield from self._lines

    def on_mount(self) -> None:
        self._judge()
        self._show()

    def on_resize(self) -> None:
        self._show()

    def watch_status(self, before: Status, now: Status) -> None:
        if not self.is_mounted:
            return
        # Ages change every second; figures and verdict are those of the last poll.
        if replace(before, age_s=now.age_s) == now:
            self._show_banner()
            return
        if (before.snapshot, before.facts, before.trouble) != (now.snapshot, now.facts, now.trouble):
            self._judge()
        self._show()

    @property
    def tells_age(self) -> bool:
        """Whether the age of the data is on the screen."""
        return bool(self.status.trouble) or self.status.paused

    def _judge(self) -> None:
        status = self.status
        if status.snapshot is None:
            self._clauses = ()
            return
        self._clauses = clauses(
            graph_of(status.snapshot),
            replace(with_runs(status.facts, status.snapshot), is_stale=bool(status.trouble)),
        )

    def _show(self) -> None:
        if not self.is_mounted:
            return
        status = self.status
        # Before the first layout it is as wide as the app: so it is drawn once.
        width = (self.content_size.width if self.size.width else self.app.size.width) - _PADDING
        figures, verdict, _ = self._lines
        figures.say(self._figures(width))
        verdict.say(fitted(with_hint(self._clauses, status.hint) or _no_verdict(status), width))
        self._show_banner()

    def _figures(self, width: int) -> Cell:
        status = self.status
        if status.snapshot is None:
            return status.absence if status.manner.is_recorded or not status.trouble else "Not connected"
        marks = self.app.no_color
        return header_line(status.snapshot, status.trend, status.manner, width, marks=marks)

    def _show_banner(self) -> None:
        status = self.status
        if status.manner.is_recorded:
            text = plain(status.trouble) or status.note
        elif status.viewed:
            text = status.viewed
            if status.trouble:
                text += f" Now: no answer for {status.age_s} s: {plain(status.trouble)}"
            elif status.paused:
                text += f" Paused: {status.paused_keys}."
        elif status.trouble and status.snapshot is not None:
            text = f"Stale, data {status.age_s} s old: {plain(status.trouble)}"
        elif status.paused:
            age = f", data {status.age_s} s old" if status.snapshot is not None else ""
            text = f"Paused{age}. {status.paused_keys}."
        else:
            text = ""
        state = "stale" if status.trouble else "past" if status.viewed else ""
        said = text, state
        if said == self._in_banner:
            return
        self._in_banner = said
        *_, banner = self._lines
        banner.say(text)
        banner.set_class(state == "stale", "stale")
        banner.set_class(state == "past", "past")
        banner.display = bool(text)
