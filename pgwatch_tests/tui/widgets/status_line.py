"""The status line at the top, and the banner below it while data is stale or polling is paused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.model import LockSnapshot, Session
from pgwatch_tests.postgres.runs import LiveRun, announced
from pgwatch_tests.text.numbers import at_least, plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import minute
from pgwatch_tests.tui.widgets.still_text import StillText

_PADDING = 2


class StatusLine(Vertical):
    """One line of figures, and a banner while the data is stale or polling is paused."""

    snapshot: reactive[LockSnapshot | None] = reactive(None, repaint=False)
    leaks: reactive[LeakReport | None] = reactive(None, repaint=False)
    next_sweep: reactive[datetime | None] = reactive(None, repaint=False)
    """When the schedule's next sweep starts; None if none is known."""
    pace: reactive[tuple[str, ...]] = reactive((), repaint=False)
    """How often the server is, or was, polled: in words, the longest first."""
    is_recorded: reactive[bool] = reactive(False, repaint=False)
    """Whether it is a moment of a recording: leaks were counted at its end, and `pace` stays in sight."""
    note: reactive[str] = reactive("", repaint=False)
    """What else there is to say of the moment, as plain text."""
    absence: reactive[str] = reactive("Connecting …", repaint=False)
    """What is shown without a snapshot."""
    paused: reactive[bool] = reactive(False, repaint=False)
    trouble: reactive[str] = reactive("", repaint=False)
    """Why the last poll failed; empty if it succeeded."""
    age_s: reactive[int] = reactive(0, repaint=False)
    """How old the data is, in whole seconds."""

    def compose(self) -> ComposeResult:
        yield StillText(self._figures(), id="figures", ground="panel")
        yield StillText(id="banner", ground="panel")

    def on_mount(self) -> None:
        self._show()

    def on_resize(self) -> None:
        self._show()

    def watch_snapshot(self) -> None:
        self._show()

    def watch_leaks(self) -> None:
        self._show()

    def watch_next_sweep(self) -> None:
        self._show()

    def watch_pace(self) -> None:
        self._show()

    def watch_paused(self) -> None:
        self._show()

    def watch_note(self) -> None:
        self._show()

    def watch_trouble(self) -> None:
        self._show()

    def watch_age_s(self) -> None:
        self._show_banner()

    def _show(self) -> None:
        if self.is_mounted:
            self.query_one("#figures", StillText).say(self._figures())
            self._show_banner()

    def _show_banner(self) -> None:
        if not self.is_mounted:
            return
        banner = self.query_one("#banner", StillText)
        if self.is_recorded:
            text = plain(self.trouble) or self.note
        elif self.trouble and self.snapshot is not None:
            text = f"Stale, data {self.age_s} s old: {plain(self.trouble)}"
        elif self.trouble:
            text = f"No data yet: {plain(self.trouble)}"
        elif self.paused:
            text = f"Paused, data {self.age_s} s old. space resumes, r refreshes once."
        else:
            text = ""
        banner.say(text)
        banner.set_class(bool(self.trouble), "stale")
        banner.display = bool(text)

    def _figures(self) -> str:
        snapshot = self.snapshot
        if snapshot is None:
            return self.absence if self.is_recorded or not self.trouble else "Not connected"
        width = self.content_size.width - _PADDING if self.size.width else None
        return fitted(*self._parts(snapshot), width)

    def _parts(self, snapshot: LockSnapshot) -> tuple[dict[str, str], Sequence[tuple[str, str]]]:
        """The parts by name, and shorter forms in the order in which they are tried where room is short."""
        clients = snapshot.clients
        idle = sum((one.state or "").startswith("idle in transaction") for one in clients)
        runs = len({one.run for one in map(_run, clients) if one is not None})
        through = " via pooler" if snapshot.pooled else ""
        leaks, capacity = self.leaks, snapshot.capacity
        parts = {
            "database": plain(snapshot.database, 24) + through,
            "blocked": f"{snapshot.blocked:,} blocked",
            "deadlocks": "",
            "leaked": _leaked(leaks, self.is_recorded),
            "runs": plural(runs, "run") if runs else "",
            "connections": plural(len(clients), "session"),
            "lock table": "",
            "idle": f"{at_least(idle, not snapshot.hidden_sessions)} idle in tx",
            "next sweep": "",
            "hidden": f"{snapshot.hidden_sessions:,} hidden" if snapshot.hidden_sessions else "",
            "version": f"PG {plain(snapshot.server_version)}",
            "interval": self.pace[0] if self.pace else "",
        }
        if snapshot.deadlocks:
            parts["deadlocks"] = plural(len(snapshot.deadlocks), "deadlock")
        elif snapshot.probable_deadlocks:
            parts["deadlocks"] = "1 probable deadlock"
        if self.next_sweep is not None:
            parts["next sweep"] = f"next sweep {minute(self.next_sweep, snapshot.sampled_at)}"
        short_database = plain(snapshot.database, 12) + through
        shorter = [
            *(("interval", pace) for pace in self.pace[1:]),
            ("version", ""),
            ("interval", ""),
            ("next sweep", parts["next sweep"].removeprefix("next ")),
            ("database", short_database),
            ("next sweep", ""),
            ("runs", ""),
            ("idle", ""),
        ]
        if self.is_recorded:
            # That samples aren't all stays in sight.
            shorter = [("version", ""), ("runs", ""), ("idle", ""), *shorter[: len(self.pace) - 1]]
            shorter += [("connections", ""), ("database", short_database), ("leaked", _leaked(leaks, False))]
        if capacity is not None:
            taken = f"{capacity.connections:,}/{capacity.max_connections:,}"
            nearly = ", nearly all" if capacity.connections_nearly_used_up else ""
            parts["connections"] = f"{taken} connections{nearly}"
            if capacity.lock_table_nearly_full:
                parts["lock table"] = "lock table nearly full"
                shorter.append(("lock table", "locks nearly full"))
            if not self.is_recorded:
                shorter.append(("connections", f"{taken} conns"))
        if not snapshot.deadlocks and snapshot.probable_deadlocks:
            shorter.append(("deadlocks", "deadlock?"))
        return parts, shorter


def _run(session: Session) -> LiveRun | None:
    """The run of `pgwatch-tests run` whose session it is."""
    return announced(session.application_name)


def _leaked(report: LeakReport | None, is_recorded: bool) -> str:
    if report is None:
        return "" if is_recorded else "? leaked"
    return f"{at_least(report.total, not report.skipped)} leaked{' at the end' if is_recorded else ''}"


def fitted(parts: dict[str, str], shorter: Sequence[tuple[str, str]], width: int | None) -> str:
    """Joins the parts in one line of at most `width` cells if possible; None is any width."""
    parts = dict(parts)
    for name, text in (("", ""), *shorter):
        parts |= {name: text}
        line = " · ".join(filter(None, parts.values()))
        if width is None or cell_len(line) <= width:
            break
    return line
