"""The history that a journal of waits tells: sums by waiter, the last waits, deadlocks. Pure, bounded.

A wait counts as long as polls have seen it. What it lasted is put down to those who were at its root.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pgwatch_tests.locks.watch.wait_journal import Deadlock, Entry, JournalWait, Poll, Side, Trouble

_MOST_RECENT = 500
_MOST_POLLS = 64
_MOST_SIDES = 2_000
_MOST_DEADLOCKS = 100


@dataclass(slots=True)
class SeenWait:
    """A wait, from the first poll that saw it to the last one."""

    wait: JournalWait
    """As it was written down last."""
    waited_s: float = 0.0
    seen_at: float = 0.0
    """The last poll that saw it, in seconds since 1970."""
    is_open: bool = True
    """Whether the last poll of all saw it."""
    by_root: dict[str, float] = field(default_factory=dict)
    """Seconds put down to each root blocker, by the name of its session."""


@dataclass(slots=True)
class WaiterSum:
    """All waits of the sessions of one name."""

    blocked_s: float = 0.0
    waits: int = 0
    longest: SeenWait | None = None
    by_root: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeenDeadlock:
    """A deadlock, with the waits it was made of as they were then."""

    at: float
    waits: tuple[JournalWait, ...]
    advice: str


class WaitHistory:
    """Takes the entries of a journal, in their order."""

    def __init__(self) -> None:
        self.open: dict[int, SeenWait] = {}
        """The waits that the last poll saw, by number."""
        self.recent: deque[SeenWait] = deque(maxlen=_MOST_RECENT)
        """Those that are over, the last one last."""
        self.polls: deque[float] = deque(maxlen=_MOST_POLLS)
        """When the last polls were, in seconds since 1970."""
        self.deadlocks: list[SeenDeadlock] = []
        self.trouble: Trouble | None = None
        """The last one, if there was one."""
        self.unwatched_s = 0.0
        self._sums: dict[str, WaiterSum] = {}
        self._sides: dict[int, tuple[Side, float]] = {}
        self._lost_at: float | None = None

    def add(self, entries: Iterable[Entry]) -> None:
        """Adds what has come since."""
        for entry in entries:
            match entry:
                case JournalWait():
                    self._see(entry)
                case Poll():
                    self._poll(entry)
                case Deadlock(at, members, advice):
                    waits = [self.open[number].wait for number in members if number in self.open]
                    if len(self.deadlocks) < _MOST_DEADLOCKS:
                        self.deadlocks.append(SeenDeadlock(at, tuple(waits), advice))
                case Trouble(at):
                    self.trouble = entry
                    self._lost_at = at if self._lost_at is None else self._lost_at

    @property
    def waits(self) -> Iterator[SeenWait]:
        """Yields what is known of single waits, the last one first."""
        yield from self.open.values()
        yield from reversed(self.recent)

    def side(self, pid: int, since: float) -> Side | None:
        """Returns the session of that pid, if a poll has seen it in a wait since then; None if none has.

        A pool gives a session to one test after the other: an older sight tells nothing of who has it now.
        """
        side, at = self._sides.get(pid, (None, 0.0))
        return side if at >= since else None

    def add_sides(self, sides: Iterable[Side], at: float) -> None:
        """Adds sessions that were seen elsewhere."""
        for side in sides:
            if side.pid:
                self._sides.pop(side.pid, None)
                self._sides[side.pid] = side, at
        while len(self._sides) > _MOST_SIDES:
            del self._sides[next(iter(self._sides))]

    def sums(self) -> Mapping[str, WaiterSum]:
        """Returns what each has waited, present waits included, by the name of the waiting sessions."""
        sums = {name: _copy(one) for name, one in self._sums.items()}
        for seen in self.open.values():
            _add(sums, seen)
        return sums

    def sum_of(self, name: str) -> WaiterSum | None:
        """Returns what the sessions of that name have waited; None if they never did."""
        before = self._sums.get(name)
        sums = {} if before is None else {name: _copy(before)}
        for seen in self.open.values():
            if seen.wait.waiter.name == name:
                _add(sums, seen)
        return sums.get(name)

    def _see(self, wait: JournalWait) -> None:
        seen = self.open.get(wait.number)
        if seen is None:
            self.open[wait.number] = SeenWait(wait, seen_at=wait.began)
        else:
            seen.wait = wait

    def _poll(self, poll: Poll) -> None:
        if self._lost_at is not None:
            self.unwatched_s += max(0.0, poll.at - self._lost_at)
            self._lost_at = None
        self.polls.append(poll.at)
        for number in [number for number in self.open if number not in poll.waiting]:
            seen = self.open.pop(number)
            seen.is_open = False
            self.recent.append(seen)
            _add(self._sums, seen)
        for number, wait_s in poll.waiting.items():
            seen_now = self.open.get(number)
            if seen_now is None:
                continue
            grown_s = max(0.0, wait_s - seen_now.waited_s)
            seen_now.waited_s = max(wait_s, seen_now.waited_s)
            seen_now.seen_at = poll.at
            wait = seen_now.wait
            self.add_sides((wait.waiter, *wait.blockers, *wait.roots), poll.at)
            roots = seen_now.wait.roots or seen_now.wait.blockers
            for root in roots:
                seen_now.by_root[root.name] = seen_now.by_root.get(root.name, 0.0) + grown_s / len(roots)


def _copy(one: WaiterSum) -> WaiterSum:
    return replace(one, by_root=dict(one.by_root))


def _add(sums: dict[str, WaiterSum], seen: SeenWait) -> None:
    one = sums.setdefault(seen.wait.waiter.name, WaiterSum())
    one.blocked_s += seen.waited_s
    one.waits += 1
    if one.longest is None or seen.waited_s >= one.longest.waited_s:
        one.longest = seen
    for name, seconds in seen.by_root.items():
        one.by_root[name] = one.by_root.get(name, 0.0) + seconds
