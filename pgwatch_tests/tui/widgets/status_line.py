"""The header line, and the banner under it that says when what is shown is old."""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from pgwatch_tests.counts import at_least, many
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.local_time import minute
from pgwatch_tests.reports.plain_text import plain
from pgwatch_tests.tui.still_text import StillText


class StatusLine(Vertical):
    """One line of figures; a second one only while the data is stale or polling is paused."""

    snapshot: reactive[LockSnapshot | None] = reactive(None, repaint=False)
    leaks: reactive[LeakReport | None] = reactive(None, repaint=False)
    next_sweep: reactive[datetime | None] = reactive(None, repaint=False)
    """When the schedule's next sweep begins; None if none is known."""
    refresh_s: reactive[float] = reactive(1.0, repaint=False)
    paused: reactive[bool] = reactive(False, repaint=False)
    trouble: reactive[str] = reactive("", repaint=False)
    """Why the last poll failed; empty while all is well."""
    age_s: reactive[int] = reactive(0, repaint=False)
    """How old the data is, in whole seconds."""

    def compose(self) -> ComposeResult:
        yield StillText(self._figures(), id="figures")
        yield StillText(id="banner")

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

    def watch_refresh_s(self) -> None:
        self._show()

    def watch_paused(self) -> None:
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
        if self.trouble and self.snapshot is not None:
            text = f"stale, {self.age_s} s: {plain(self.trouble)}"
        elif self.trouble:
            text = f"no data yet: {plain(self.trouble)}"
        elif self.paused:
            text = f"paused, {self.age_s} s old; space goes on, r polls once"
        else:
            text = ""
        banner.say(text)
        banner.set_class(bool(self.trouble), "stale")
        banner.display = bool(text)

    def _figures(self) -> str:
        snapshot = self.snapshot
        if snapshot is None:
            return "connecting …" if not self.trouble else "not connected"
        clients = snapshot.clients
        idle = sum((one.state or "").startswith("idle in transaction") for one in clients)
        # Where the line is too short for all, what matters least is cut.
        through = " via pooler" if snapshot.pooled else ""
        parts = [plain(snapshot.database, 24) + through, f"{snapshot.blocked:,} blocked"]
        if snapshot.deadlocks or snapshot.probable_deadlocks:
            parts.append(f"{len(snapshot.deadlocks) or 'perhaps 1'} deadlock")
        leaks = self.leaks
        parts.append(f"{'?' if leaks is None else at_least(leaks.total, not leaks.skipped)} leaked")
        capacity = snapshot.capacity
        if capacity is None:
            parts.append(many(len(clients), "session"))
        else:
            taken = f"{capacity.connections:,}/{capacity.max_connections:,} connections"
            parts.append(f"{taken}, nearly all" if capacity.connections_nearly_used_up else taken)
            if capacity.lock_table_nearly_full:
                parts.append("lock table nearly full")
        parts.append(f"{at_least(idle, not snapshot.hidden_sessions)} idle in tx")
        if self.next_sweep is not None:
            parts.append(f"next sweep {minute(self.next_sweep, snapshot.sampled_at)}")
        if snapshot.hidden_sessions:
            parts.append(f"{snapshot.hidden_sessions:,} hidden")
        parts += [f"PG {plain(snapshot.server_version)}", f"every {self.refresh_s:g} s"]
        line = " · ".join(parts)
        # Its last word is worth more than the one before it.
        fits = not self.size.width or cell_len(line) <= self.content_size.width
        return line if fits else " · ".join([*parts[:-1], parts[-1].removeprefix("every ")])
