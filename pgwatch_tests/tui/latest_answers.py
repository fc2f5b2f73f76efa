"""The newest answers of both pollers, and what is summed up of all of them."""

from __future__ import annotations

import math

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.fingerprint import news
from pgwatch_tests.tui.leak_trend import LeakTrend


class Latest:
    """What the tabs show. Times are those of the dashboard's monotonic clock, in seconds."""

    def __init__(self, now_s: float) -> None:
        self.snapshot: LockSnapshot | None = None
        self.leaks: LeakReport | None = None
        self.leaks_trouble = ""
        """Why the last count failed; empty while all is well."""
        self.leak_trend = LeakTrend()
        self._snapshot_at_s = now_s
        self._contention = ContentionMeter()
        self._drawn: tuple[object, ...] = ()
        self._drawn_at_s = -math.inf

    def take_locks(self, snapshot: LockSnapshot, now_s: float, *, paused: bool) -> str:
        """Takes a poll in. Returns what is to be told where another server has answered, else nothing."""
        changed = server_change(self.snapshot, snapshot)
        self.snapshot, self._snapshot_at_s = snapshot, now_s
        self._contention.add(snapshot)
        if paused:
            self._contention.interrupt()
        return changed

    def lose_sight(self) -> None:
        """Says that nobody looks until the next poll: it has failed, or polling is paused."""
        self._contention.interrupt()
        self.draw_anew()

    def take_leaks(self, report: LeakReport) -> None:
        """Takes a count in."""
        self.leaks, self.leaks_trouble = report, ""
        self.leak_trend.add(report)

    def age_s(self, now_s: float) -> int:
        """How old the snapshot is, in whole seconds."""
        return math.floor(now_s - self._snapshot_at_s)

    @property
    def contention(self) -> Contention | None:
        """The sums since the dashboard, or `count_contention_anew`, began; None before the first poll."""
        return self._contention.result()

    def count_contention_anew(self, *, paused: bool) -> None:
        """Begins the sums with the newest snapshot."""
        if self.snapshot is not None:
            self._contention = ContentionMeter()
            self._contention.add(self.snapshot)
            if paused:
                self._contention.interrupt()

    def draw_anew(self) -> None:
        """Has the next poll drawn whatever it says."""
        self._drawn = ()

    def is_to_be_drawn(self, now_s: float, at_least_every_s: float) -> bool:
        """Whether the newest snapshot is news. Times that grow are news at the slower pace only."""
        if self.snapshot is None:
            return False
        found = news(self.snapshot)
        if found == self._drawn and now_s - self._drawn_at_s < at_least_every_s:
            return False
        self._drawn, self._drawn_at_s = found, now_s
        return True


def server_change(before: LockSnapshot | None, now: LockSnapshot) -> str:
    """A warning if another server answered the second poll, or the same one after a restart.

    Empty if nothing changed, or that can't be told. A standby that takes over bears the system identifier of
    the server before, but another address.
    """
    if before is None or None in (before.server_started, now.server_started):
        return ""
    if before.server_started == now.server_started:
        return ""
    ids = {before.system_identifier, now.system_identifier} - {None}
    if len(ids) > 1 or before.server != now.server:
        return (
            f"Another server answers now: {now.server} instead of {before.server}. "
            "What was seen or planned on the old one isn't done here."
        )
    return f"{now.server} was restarted. What was seen or planned before isn't done any more."
