"""Hangs of a run: waits that have lasted too long, or quiet, and when that is worth a word. Pure.

A hang is told once; again after twice the time, four times, and so on, while it lasts. A root blocker that
takes the place of another is a hang of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot, Party, Session, WaitKey
from pgwatch_tests.postgres.runs import is_run_session
from pgwatch_tests.reports.locks.lock_tree import tree_lines
from pgwatch_tests.reports.locks.test_labels import name_of
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.plain_text import one_line, plain

_GROWTH = 2.0
_MOST_TREES = 5
_MOST_LINES = 60
_MOST_QUIET_SESSIONS = 5
_QUERY_WIDTH = 90

IsOurs = Callable[[Session], bool]
"""Whether a session outside of the run's database is one of the run's."""


@dataclass(frozen=True, slots=True)
class Told:
    """A hang that is to be told now."""

    text: str
    """Lines of plain text."""
    roots: tuple[Party, ...]
    """Its root blockers; none if nothing is blocked, and nobody does anything."""
    lasted_s: float
    is_new: bool


@dataclass(slots=True)
class _Reminder:
    """When a hang is told again. Seconds of the machine's steady clock."""

    next_s: float
    pause_s: float

    def is_due(self, now_s: float) -> bool:
        """Whether it is time; from then on twice the pause."""
        if now_s < self.next_s:
            return False
        self.pause_s *= _GROWTH
        self.next_s = now_s + self.pause_s
        return True


_RootKey = tuple[Party, datetime | None]


class HangWatch:
    """Takes one settled snapshot after another; says which hangs to tell."""

    def __init__(self, after_s: float, is_ours: IsOurs = lambda _session: False) -> None:
        self._after_s = after_s
        self._is_ours = is_ours
        self._waiting_since: dict[WaitKey, float] = {}
        self._reminders: dict[_RootKey, _Reminder] = {}
        self._quiet = _QuietTime(after_s)

    @property
    def is_quiet(self) -> bool:
        """Whether a quiet time that was told lasted until the last look."""
        return self._quiet.is_told

    def look(self, snapshot: LockSnapshot, now_s: float) -> tuple[list[Told], LockGraph, tuple[Party, ...]]:
        """Returns the hangs to tell, the graph, and the roots of all hangs there are.

        `now_s` is the machine's steady clock.
        """
        graph = LockGraph(snapshot)
        roots = self._roots(graph, now_s)
        told = [*self._blocked(graph, roots, now_s)]
        quiet = self._quiet.look(snapshot, now_s)
        if not roots:
            told += quiet
        return told, graph, tuple(roots)

    def _roots(self, graph: LockGraph, now_s: float) -> dict[Party, float]:
        """Returns the roots of waits that have lasted too long, with the longest wait, in seconds."""
        groups = graph.snapshot.shown_groups
        self._waiting_since = {
            group.wait_key: self._waiting_since.get(group.wait_key, now_s) for group in groups
        }
        long: dict[Party, float] = {}
        for group in groups:
            # Before PostgreSQL 14 the server doesn't tell how long a session has waited.
            waited_s = max(group.wait_s or 0.0, now_s - self._waiting_since[group.wait_key])
            if waited_s >= self._after_s and self._matters(graph, group.waiter):
                long[group.waiter] = max(waited_s, long.get(group.waiter, 0.0))
        roots: dict[Party, float] = {}
        for waiter, waited_s in long.items():
            root = graph.root_of(waiter) or next(iter(graph.deadlock_of(waiter)), waiter)
            roots[root] = max(waited_s, roots.get(root, 0.0))
        return dict(sorted(roots.items(), key=lambda one: -one[1]))

    def _matters(self, graph: LockGraph, waiter: Party) -> bool:
        """Whether a waiter is in the run's database, or one of its sessions elsewhere."""
        session = graph.sessions.get(waiter)
        if session is None or not session.is_client:
            return False
        tested = graph.snapshot.database
        if session.database in (None, tested):
            return True
        # Those of workers are called like the tested one, and a number.
        is_workers = session.identity is not None and bool(tested) and tested in session.database
        return is_workers or self._is_ours(session)

    def _blocked(self, graph: LockGraph, roots: dict[Party, float], now_s: float) -> list[Told]:
        keys = {root: _key(graph, root) for root in roots}
        self._reminders = {
            key: self._reminders.get(key, _Reminder(now_s, self._after_s / _GROWTH)) for key in keys.values()
        }
        due = [root for root in roots if self._reminders[keys[root]].is_due(now_s)]
        if not due:
            return []
        is_new = any(self._reminders[keys[root]].pause_s == self._after_s for root in due)
        shown = due[:_MOST_TREES]
        trees = {tree.node: tree for tree in graph.trees}
        longest = max(roots[root] for root in due)
        behind = ", ".join(plain(graph.who(root)) for root in shown)
        more = f" and {len(due) - len(shown):,} more" if len(due) > len(shown) else ""
        words = "hang" if is_new else "still hanging"
        lines = [f"{words}: blocked for {in_words(longest)} behind {behind}{more}"]
        for root in shown:
            if root in trees:
                lines += tree_lines(graph, trees[root])
        return [Told(_bounded(lines), tuple(due), longest, is_new)]


def _key(graph: LockGraph, root: Party) -> _RootKey:
    session = graph.sessions.get(root)
    return root, session.backend_start if session else None


class _QuietTime:
    """How long no session of the database has done anything. Nothing is told before the first one has."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._active_s: float | None = None
        self._reminder: _Reminder | None = None
        self._last: str = ""
        """Who was seen last, with the statement."""

    @property
    def is_told(self) -> bool:
        return self._reminder is not None

    def look(self, snapshot: LockSnapshot, now_s: float) -> list[Told]:
        sessions = [one for one in snapshot.clients if _is_in_database(one, snapshot)]
        if any(one.hidden for one in sessions):
            # What they do can't be seen: nothing is said of them.
            self._active_s, self._reminder = now_s, None
            return []
        ages_s = [0.0 if _is_active(one) else one.state_age_s for one in sessions]
        known_s = [age_s for age_s in ages_s if age_s is not None]
        if known_s:
            last = min(sessions, key=_quiet_s)
            self._last = f"{name_of(last)} (pid {last.pid})"
            self._active_s = max(now_s - min(known_s), self._active_s or float("-inf"))
        if self._active_s is None:
            return []
        quiet_s = now_s - self._active_s
        if quiet_s < self._after_s:
            self._reminder = None
            return []
        is_new = self._reminder is None
        if self._reminder is None:
            self._reminder = _Reminder(now_s, self._after_s / _GROWTH)
        if not self._reminder.is_due(now_s):
            return []
        return [Told(_bounded(self._lines(snapshot, sessions, quiet_s, is_new)), (), quiet_s, is_new)]

    def _lines(
        self, snapshot: LockSnapshot, sessions: Sequence[Session], quiet_s: float, is_new: bool
    ) -> list[str]:
        words = "quiet" if is_new else "still quiet"
        lines = [
            f"{words}: the command runs, and for {in_words(quiet_s)} no session in database "
            f"{plain(snapshot.database)} has done anything; nothing is blocked"
        ]
        if not sessions:
            return [*lines, f"none is connected; the last one seen was {self._last}"]
        shown = sorted(sessions, key=_quiet_s)[:_MOST_QUIET_SESSIONS]
        for one in shown:
            lines.append(
                f"pid {one.pid}  {name_of(one)}  {plain(one.state or '')} for {in_words(one.state_age_s)}"
            )
            if one.query:
                lines.append(f"│  last query: {plain(one_line(one.query), _QUERY_WIDTH)}")
        if len(sessions) > len(shown):
            lines.append(f"… and {len(sessions) - len(shown):,} more")
        return lines


def _is_in_database(session: Session, snapshot: LockSnapshot) -> bool:
    is_helper = session.application_name == OWN_NAME or is_run_session(session.application_name)
    return session.database == snapshot.database and not is_helper


def _is_active(session: Session) -> bool:
    # A statement that waits for its client (COPY FROM STDIN) isn't at work.
    return not (session.state or "").startswith("idle") and session.wait_event_type != "Client"


def _quiet_s(session: Session) -> float:
    return session.state_age_s if session.state_age_s is not None else float("inf")


def _bounded(lines: list[str]) -> str:
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… and {len(lines) - _MOST_LINES:,} more lines"]
    return "\n".join(lines)
