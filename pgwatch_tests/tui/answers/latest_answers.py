"""The latest answers of both pollers, their running sums, and when the screen needs a redraw."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pgwatch_tests.locks.contention.contention import Contention, ContentionMeter
from pgwatch_tests.locks.contention.last_troubles import LastTroubles, Trouble
from pgwatch_tests.locks.graph.lock_graph import LockGraph, graph_of, graph_of_later
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.glance import later
from pgwatch_tests.reports.render.detail_text import KeyName
from pgwatch_tests.reports.verdict.no_connection import no_connection
from pgwatch_tests.text import durations
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_text import Cell
from pgwatch_tests.tui.answers.blocked_trend import BlockedTrend
from pgwatch_tests.tui.answers.leak_trend import LeakTrend
from pgwatch_tests.tui.answers.lock_polls import Seen, Unchanged, Wanted
from pgwatch_tests.tui.widgets.header_figures import Trend

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import LeakReport
    from pgwatch_tests.tui.answers.past import Past


_SOONER_S = 0.1
"""So much sooner than it is due a picture is drawn, if the next poll would come later."""


_OLD_COUNT_S, _STEP_S = 40.0, 10.0
"""From this age on, a count of leaks is told to be older than what is shown beside it; in such steps."""


class LatestAnswers:
    """The data that the tabs show of a live server. Times are by a monotonic clock, in seconds."""

    contention_restarts = True

    def __init__(self, now_s: float) -> None:
        self.absence: Cell = "Waiting for the server's first answer …"
        """What is said in place of the rows until there is a snapshot."""
        self._failure = ""
        self._retry_at_s = math.inf
        self._newest: LockSnapshot | None = None
        self.viewed: LockSnapshot | None = None
        """The moment of the last hour that is looked at; None: the newest."""
        self.past: Past | None = None
        """The last hour; None until what packs it is loaded."""
        self.leaks: LeakReport | None = None
        self.leaks_trouble = ""
        """Why the last count failed; empty while all is well."""
        self._leaks_at_s = now_s
        self.leak_trend = LeakTrend()
        self._blocked_trend = BlockedTrend()
        self._snapshot_at_s = now_s
        self._contention = ContentionMeter()
        self._troubles = LastTroubles()
        self._glances, self._glanced_at = 0, datetime.min
        """How many glances have found the waits of the newest snapshot, and when the last one was."""
        self._owed: list[Callable[[], None]] = []
        """What the last poll has still to be entered in."""
        self._drawn: tuple[object, ...] = ()
        self._drawn_at_s = -math.inf

    def take(self, seen: Seen, now_s: float, at_least_every_s: float, *, paused: bool) -> tuple[str, bool]:
        """Records what a poll saw. Returns a warning if another server answered, else an empty string, and
        whether there is anything to draw: news, or durations that are `at_least_every_s` old."""
        if isinstance(seen, LockSnapshot):
            changed = self.take_locks(seen, now_s, paused=paused)
            is_news = self.needs_redraw(now_s, at_least_every_s)
            if is_news:
                self._owed.append(self.keep)
            return changed, is_news
        assert self._newest is not None, "what goes on was there"
        if isinstance(seen, Unchanged):
            graph_of_later(seen.snapshot, self._newest)
            self._newest, self._drawn_at_s = seen.snapshot, now_s
            self._go_on(seen.snapshot, seen.snapshot.sampled_at, now_s)
            if self.past is not None:
                self.past.go_on(seen.snapshot.sampled_at)
        else:
            self._go_on(self._newest, seen.sampled_at, now_s)
        if paused:
            self.interrupt()
        return "", isinstance(seen, Unchanged)

    def settle_up(self) -> None:
        """Enters the last poll in the sums and in the last hour, which takes longer than a picture of it.

        Whoever asks for these, or polls again, does it before: it may come as late as somebody has time for.
        """
        owed, self._owed = self._owed, []
        for enter in owed:
            enter()

    def take_locks(self, snapshot: LockSnapshot, now_s: float, *, paused: bool) -> str:
        """Records a poll. Returns a warning if another server answered, else an empty string."""
        self.settle_up()
        changed = server_change(self._newest, snapshot)
        if self._newest is not None and _waits(self._newest) != _waits(snapshot):
            self._catch_up()
        self._newest, self._snapshot_at_s = snapshot, now_s
        self._troubles.add(graph_of(snapshot))
        # What has waited all the time is credited with it at once, whoever glanced in between.
        self._owed.append(partial(self._contention.add, snapshot, polls=self._glances + 1))
        if paused:
            self._owed.append(self._contention.interrupt)
        self._glances = 0
        self._blocked_trend.add(snapshot.sampled_at, snapshot.blocked)
        return changed

    def _go_on(self, snapshot: LockSnapshot, at: datetime, now_s: float) -> None:
        """Records that all waits of the newest snapshot went on."""
        self._glances, self._glanced_at, self._snapshot_at_s = self._glances + 1, at, now_s
        self._blocked_trend.add(at, snapshot.blocked)

    def _catch_up(self) -> None:
        """Credits the waits of the newest snapshot up to the last glance, which still found them."""
        self.settle_up()
        if self._glances and self._newest is not None:
            self._newest = later(self._newest, self._glanced_at)
            self._troubles.add(graph_of(self._newest))
            self._contention.add(self._newest, polls=self._glances)
            self._glances = 0

    @property
    def graph(self) -> LockGraph | None:
        """The lock graph of the shown snapshot; None before the first poll."""
        return None if self.snapshot is None else graph_of(self.snapshot)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """The troubles that are over, the last one first."""
        return self._troubles.over

    @property
    def snapshot(self) -> LockSnapshot | None:
        """The snapshot to show: the newest one, or that of the moment that is looked at."""
        return self.viewed or self._newest

    @property
    def newest(self) -> LockSnapshot | None:
        """The last poll, whatever is looked at."""
        return self._newest

    def view(self, snapshot: LockSnapshot | None) -> None:
        """Shows a moment of the past from now on; None: the newest."""
        self.viewed = snapshot

    def go(self, seconds: float) -> str:
        """Shows the moment that many seconds earlier (below 0) or later; returns why not, or nothing."""
        self.settle_up()
        shown, newest = self.snapshot, self._newest
        if self.past is None or shown is None or newest is None:
            return "Nothing of the past is known yet."
        found = self.past.moved(shown.sampled_at, seconds)
        if found is None and seconds < 0:
            return "That is the first moment that this dashboard has kept."
        self.view(None if found is None or found.sampled_at >= newest.sampled_at else found)
        return ""

    def viewed_in_words(self, keys: KeyName) -> str:
        """Which moment of the past is looked at, and which keys lead on; empty for the present."""
        if self.viewed is None or self._newest is None:
            return ""
        ago = durations.in_words((self._newest.sampled_at - self.viewed.sampled_at).total_seconds())
        on = f"{keys('back')} and {keys('on')} go back and on, {keys('escape')} is now."
        return f"Past: locks and sessions of {clock(self.viewed.sampled_at)}, {ago} ago. {on}"

    def keep(self) -> None:
        """Keeps the newest snapshot for going back in time."""
        if self.past is not None and self._newest is not None:
            self.past.add(self._newest)

    def fail(self, reason: str, retry_at_s: float) -> None:
        """Records a failed poll, and when the next one is due."""
        self._failure, self._retry_at_s = reason, retry_at_s
        self.interrupt()

    def count_down(self, now_s: float, *, paused: bool) -> bool:
        """Says anew why there is no snapshot yet; returns whether that changed."""
        if self._newest is not None or not self._failure:
            return False
        before, retry_in_s = self.absence, None if paused else self._retry_at_s - now_s
        self.absence = no_connection(self._failure, retry_in_s)
        return self.absence != before

    def interrupt(self) -> None:
        """Marks the time until the next poll as unobserved: a poll failed, or polling is paused."""
        self._catch_up()
        self._contention.interrupt()
        self.force_redraw()

    def take_leaks(self, report: LeakReport, began_s: float) -> None:
        """Records a leak count that began then."""
        self.leaks, self.leaks_trouble, self._leaks_at_s = report, "", began_s
        self.leak_trend.add(report)

    @property
    def blocked_trend(self) -> Trend:
        """The blocked sessions of the minutes up to the shown moment."""
        until = None if self.viewed is None else self.viewed.sampled_at
        return tuple(self._blocked_trend.over_time(until))

    def forget_leaks(self) -> None:
        """Forgets all counts: another database is counted from now on."""
        self.leaks, self.leaks_trouble, self.leak_trend = None, "", LeakTrend()

    @property
    def leaks_age_s(self) -> float:
        """How much older the count of leaks is than the newest snapshot, in steps; 0 where that is little."""
        older_s = self._snapshot_at_s - self._leaks_at_s
        return 0.0 if self.leaks is None or older_s < _OLD_COUNT_S else older_s // _STEP_S * _STEP_S

    def age_s(self, now_s: float) -> int:
        """The age of the snapshot in whole seconds."""
        return math.floor(now_s - self._snapshot_at_s)

    @property
    def contention(self) -> Contention | None:
        """The sums since the dashboard started or was last reset; None before the first poll."""
        self._catch_up()
        return self._contention.result()

    def reset_contention(self, *, paused: bool) -> None:
        """Restarts the sums with the latest snapshot."""
        self._catch_up()
        if self._newest is not None:
            self._contention = ContentionMeter()
            self._contention.add(self._newest)
            if paused:
                self._contention.interrupt()

    def force_redraw(self) -> None:
        """Makes the next poll redraw even if nothing changed."""
        self._drawn = ()

    def needs_redraw(self, now_s: float, at_least_every_s: float) -> bool:
        """Whether the latest snapshot differs from the drawn one, or that is `at_least_every_s` old."""
        if self._newest is None:
            return False
        seen = fingerprint(self._newest)
        if seen == self._drawn and not self._is_due(now_s, at_least_every_s):
            return False
        self._drawn, self._drawn_at_s = seen, now_s
        return True

    def _is_due(self, now_s: float, at_least_every_s: float) -> bool:
        # A little sooner than a poll later.
        return now_s - self._drawn_at_s >= at_least_every_s - min(_SOONER_S, at_least_every_s / 4)

    def wanted(self, now_s: float, at_least_every_s: float) -> Wanted:
        """What the next poll has to tell.

        A wait that was seen once, a deadlock and its victim are sure only after polls one after the other.
        """
        self.settle_up()
        newest = self._newest
        if (
            newest is None
            or not self._drawn
            or not all(group.confirmed for group in newest.groups)
            or newest.deadlocks
            or newest.probable_deadlocks
            or self._contention.looks_for_victims
        ):
            return "all"
        return "picture" if self._is_due(now_s, at_least_every_s) else "waits"


def server_change(before: LockSnapshot | None, now: LockSnapshot) -> str:
    """Returns a warning if another server answered the second poll, or the same one restarted.

    Empty if nothing changed, or if the start times aren't known. A promoted standby has its primary's system
    identifier, but another address.
    """
    if before is None or None in (before.server_started, now.server_started):
        return ""
    if before.server_started == now.server_started:
        return ""
    ids = {before.system_identifier, now.system_identifier} - {None}
    if len(ids) > 1 or before.server != now.server:
        return (
            f"Another server answers now: {now.server} instead of {before.server}. "
            "Actions and previews of the old one no longer apply."
        )
    return f"{now.server} was restarted. Earlier actions and previews no longer apply."


def _waits(snapshot: LockSnapshot) -> list[tuple[object, ...]]:
    return [(group.wait_key, group.blockers) for group in snapshot.shown_groups]


def fingerprint(snapshot: LockSnapshot) -> tuple[object, ...]:
    """A fingerprint of a snapshot without its durations: equal fingerprints need no redraw."""
    return (
        [(group.waiter, group.blockers, group.kind, group.lock) for group in snapshot.shown_groups],
        [
            (one.pid, one.backend_start, one.application_name, one.state, one.wait_event, one.query)
            for one in snapshot.sessions
        ],
        [one.gid for one in snapshot.prepared],
        snapshot.deadlocks,
        snapshot.probable_deadlocks,
    )
