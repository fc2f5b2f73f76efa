"""The history that a journal of waits tells: sums by waiter, the last waits, deadlocks. Pure, bounded.

A wait counts up to the first moment by which it was over: what the poll said that missed it, or when the
test's call, say, ended in between. What it lasted is put down to those who were at its root.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pgwatch_tests.locks.watch.wait_journal import Deadlock, Entry, JournalWait, Poll, Side, Trouble

_MOST_RECENT = 500
_MOST_POLLS = 64
_MOST_SIDES = 2_000
_MOST_NAMES = 2_000
_ENDS_KEPT = 6
_SOON_S = 1.0
"""A wait that the last poll saw counts up to the end of its test only if that came as soon as this."""
_MOST_DEADLOCKS = 100


@dataclass(frozen=True, slots=True)
class Share:
    """The seconds of a wait that are put down to one of its root blockers."""

    root: Side
    """As it was seen last."""
    waited_s: float


@dataclass(slots=True)
class SeenWait:
    """A wait: how it was when a poll saw it last, and how long it lasted."""

    wait: JournalWait
    """As it was written down last."""
    waited_s: float = 0.0
    seen_at: float = 0.0
    """The last poll that saw it; once it is over, its end: seconds since 1970."""
    is_open: bool = True
    """Whether the last poll of all saw it."""
    shares: dict[tuple[int, str], Share] = field(default_factory=dict)
    """The parts of `waited_s`, by pid and name of the root blocker's session."""
    polls: int = 0
    """How many polls saw it."""

    @property
    def by_root(self) -> dict[str, float]:
        """Seconds put down to each root blocker, by the name of its session."""
        sums: dict[str, float] = {}
        for (_, name), share in self.shares.items():
            sums[name] = sums.get(name, 0.0) + share.waited_s
        return sums

    def up_to(self, waited_s: float) -> SeenWait:
        """Returns a copy that has lasted at least that long."""
        copy = replace(self, shares=dict(self.shares))
        copy.grow(waited_s)
        return copy

    def grow(self, waited_s: float) -> None:
        """Makes it that long, if it was shorter; whoever is at its root now, gets the rest."""
        grown_s = max(0.0, waited_s - self.waited_s)
        self.waited_s += grown_s
        roots = self.wait.roots or self.wait.blockers
        for root in roots:
            before = self.shares.get((root.pid, root.name))
            sum_s = grown_s / len(roots) + (before.waited_s if before else 0.0)
            self.shares[root.pid, root.name] = Share(root, sum_s)


class OpenWaits(dict[int, SeenWait]):
    """The waits that the last poll saw, by number."""

    def see(self, wait: JournalWait) -> None:
        """Takes a wait as it is now."""
        seen = self.get(wait.number)
        if seen is None:
            self[wait.number] = SeenWait(wait, seen_at=wait.began)
        else:
            seen.wait = wait

    def poll(
        self, poll: Poll, end_of: Callable[[SeenWait], float | None] = lambda _: None
    ) -> Iterator[SeenWait]:
        """Takes a poll; yields the waits that are over, up to their ends.

        `end_of` tells when a wait was over at the latest, where something else than polls tells that.
        """
        for number in [number for number in self if number not in poll.waiting]:
            seen = self.pop(number)
            _close(seen, poll, end_of(seen))
            yield seen
        for number, wait_s in poll.waiting.items():
            present = self.get(number)
            if present is not None:
                present.grow(wait_s)
                present.seen_at = poll.at
                present.polls += 1


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
        self.open = OpenWaits()
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
        self._ends: dict[str, deque[float]] = {}
        self._lost_at: float | None = None

    def add(self, entries: Iterable[Entry]) -> None:
        """Adds what has come since."""
        for entry in entries:
            match entry:
                case JournalWait():
                    self.open.see(entry)
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
    def has_waits(self) -> bool:
        """Whether anybody was seen to wait at all."""
        return bool(self.open or self.recent)

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

    def end(self, name: str, at: float) -> None:
        """Notes that sessions of that name waited for nothing any more at `at`: their test's call ended, say.

        If the next poll still sees one of them wait, it was somebody else's.
        """
        ends = self._ends.pop(name, None)
        self._ends[name] = ends = deque(maxlen=_ENDS_KEPT) if ends is None else ends
        ends.append(at)
        if len(self._ends) > _MOST_NAMES:
            del self._ends[next(iter(self._ends))]

    def so_far(self, seen: SeenWait) -> SeenWait:
        """Returns a wait that the last poll saw, up to the end of its test if that has come meanwhile."""
        end = self._first_end(seen)
        if not seen.is_open or end is None or end > seen.seen_at + _SOON_S:
            return seen
        return seen.up_to(end - seen.wait.began)

    def sums(self) -> Mapping[str, WaiterSum]:
        """Returns what each has waited, present waits included, by the name of the waiting sessions."""
        sums = {name: _copy(one) for name, one in self._sums.items()}
        for seen in self.open.values():
            _add(sums, self.so_far(seen))
        return sums

    def sum_of(self, name: str) -> WaiterSum | None:
        """Returns what the sessions of that name have waited; None if they never did."""
        before = self._sums.get(name)
        sums = {} if before is None else {name: _copy(before)}
        for seen in self.open.values():
            if seen.wait.waiter.name == name:
                _add(sums, self.so_far(seen))
        return sums.get(name)

    def _poll(self, poll: Poll) -> None:
        if self._lost_at is not None:
            self.unwatched_s += max(0.0, poll.at - self._lost_at)
            self._lost_at = None
        self.polls.append(poll.at)
        for seen in self.open.poll(poll, self._first_end):
            self.recent.append(seen)
            _add(self._sums, seen)
        for seen in self.open.values():
            wait = seen.wait
            self.add_sides((wait.waiter, *wait.blockers, *wait.roots), poll.at)

    def _first_end(self, seen: SeenWait) -> float | None:
        """The first moment since its last sight at which its sessions are said to have waited for nothing."""
        ends = self._ends.get(seen.wait.waiter.name, ())
        return min((end for end in ends if end >= seen.seen_at), default=None)


def _close(seen: SeenWait, poll: Poll, end: float | None) -> None:
    over_s = poll.over.get(seen.wait.number)
    seen.is_open = False
    if over_s is None:
        return
    began = seen.wait.began
    seen.grow(over_s if end is None else min(over_s, end - began))
    seen.seen_at = min(poll.at, max(seen.seen_at, began + seen.waited_s))


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
