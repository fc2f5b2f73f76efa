"""Segments of a recording: about a minute of polls, packed. What is read back is what was polled. Pure.

A segment begins with a whole picture; each poll after it has the sessions that have changed. Whatever
repeats, statements, names, waits, queues, is written once per segment, and then named by its number. Ages are
kept as beginnings, so that a session that does nothing isn't written again. **A beginning is kept to the
millisecond**, the earlier one: ages are up to 1 ms longer than they were (`as_recorded` has a snapshot as it
will be read back). All other times are exact, to the microsecond.

A segment is written in parts of a few seconds, so that whoever is killed leaves what was polled; once it is
over, it is written anew as one part, which is smaller. All columns and all new values of a part are deflated,
each by itself.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from operator import attrgetter
from typing import Final, Literal, get_args

from pgwatch_tests.locks.lock_queue import LockQueue, QueuePrefix
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party, PreparedTransaction, Session
from pgwatch_tests.record.recording.columns import pack
from pgwatch_tests.record.recording.group_parts import About, parts_of
from pgwatch_tests.record.recording.values import microseconds, to_plain

_Kind = Literal[
    "rest",
    "capacity",
    "counts",
    "roster",
    "prepared",
    "groups",
    "group",
    "about",
    "tag",
    "blockers",
    "queue",
    "who",
    "doing",
    "query",
]
KINDS: Final[tuple[_Kind, ...]] = get_args(_Kind)
_DOING: Final = ("state", "wait_event_type", "wait_event")
_AGES: Final = ("query_age_s", "state_age_s", "xact_age_s")
_WHO: Final = tuple(field.name for field in fields(Session) if field.name not in (*_DOING, *_AGES, "query"))
_REST: Final = tuple(
    field.name
    for field in fields(LockSnapshot)
    if field.name
    not in ("sampled_at", "sessions", "prepared", "groups", "spent_s", "capacity", "deadlock_counts")
)
_who, _doing, _rest = attrgetter(*_WHO), attrgetter(*_DOING), attrgetter(*_REST)
PER_POLL: Final = 8
PER_CHANGE: Final = 2
ALL_COLUMNS: Final = PER_POLL + PER_CHANGE + 6
_QUICK, _SMALL = 1, 9
WHO_BIT, DOING_BIT, QUERY_BIT, BEGAN_BIT, STATE_BIT, XACT_BIT = (1 << bit for bit in range(6))
LENGTH: Final = 4
_MOST_CHANGES: Final = 10_000
"""A segment ends after so many changed sessions: to read one moment of it takes a tenth of a second."""
SEGMENT_S: Final = 60.0


def as_recorded(snapshot: LockSnapshot) -> LockSnapshot:
    """Returns a snapshot as it is read back: with ages that are up to 1 ms longer, in whole microseconds."""
    at_us = microseconds(snapshot.sampled_at)

    def age(age_s: float | None) -> float | None:
        return age_at(at_us, _began_ms(at_us, age_s))

    return replace(
        snapshot,
        sessions=tuple(
            replace(
                one,
                xact_age_s=age(one.xact_age_s),
                state_age_s=age(one.state_age_s),
                query_age_s=age(one.query_age_s),
            )
            for one in snapshot.sessions
        ),
        prepared=tuple(replace(one, age_s=age(one.age_s)) for one in snapshot.prepared),
        groups=tuple(replace(one, wait_s=age(one.wait_s)) for one in snapshot.groups),
        spent_s=round(snapshot.spent_s * 1e6) / 1e6,
    )


def _began_ms(at_us: int, age_s: float | None) -> int | None:
    return None if age_s is None else (at_us - round(age_s * 1e6)) // 1000


def age_at(at_us: int, began_ms: int | None) -> float | None:
    """The age in seconds, at that moment, of what began then; None if that isn't known."""
    return None if began_ms is None else (at_us - began_ms * 1000) / 1e6


@dataclass(frozen=True, slots=True)
class Part:
    """Some polls of a segment, in order."""

    times: bytes
    """A column of their times: microseconds since 1970, each but the first since the one before."""
    body: bytes


@dataclass(slots=True)
class _Slot:
    """A session as it was last written."""

    number: int
    who: tuple[object, ...] = ()
    doing: tuple[object, ...] = ()
    query: str | None = None
    began_ms: int | None = None
    state_ms: int | None = None
    xact_ms: int | None = None


class SegmentWriter:
    """Packs snapshots. One segment holds times that never go back."""

    def __init__(self) -> None:
        self.began_us = self.until_us = 0
        self.polls = self.changes = 0
        self._numbers: dict[_Kind, dict[Hashable, int]] = {kind: {} for kind in KINDS}
        self._slots: dict[Hashable, _Slot] = {}
        self._content = _Content()
        self._before = _Content()
        """All that was taken already."""

    def takes(self, snapshot: LockSnapshot) -> bool:
        """Whether the snapshot belongs here, not into a segment of its own."""
        at_us = microseconds(snapshot.sampled_at)
        is_next = self.until_us <= at_us < self.began_us + SEGMENT_S * 1e6
        return not self.polls or (is_next and self.changes < _MOST_CHANGES)

    def add(self, snapshot: LockSnapshot) -> None:
        """Adds the next snapshot."""
        at_us = microseconds(snapshot.sampled_at)
        if not self.polls:
            self.began_us = at_us
        self._content.times.append(at_us)
        self.until_us = at_us
        self.polls += 1
        roster: list[int] = []
        changed = 0
        used: dict[Hashable, int] = {}
        for session in snapshot.sessions:
            key: Hashable = session.pid, session.backend_start
            again = used[key] = used.get(key, -1) + 1
            slot = self._slots.get((key, again))
            if slot is None:
                slot = self._slots[key, again] = _Slot(len(self._slots))
            roster.append(slot.number)
            changed += self._add_session(session, slot, at_us)
        self.changes += changed
        rest = _rest(snapshot)
        self._content.polls += (
            round(snapshot.spent_s * 1e6),
            self._number("rest", rest, dict(zip(_REST, rest, strict=True))),
            self._number("capacity", snapshot.capacity, snapshot.capacity),
            self._number("counts", snapshot.deadlock_counts, snapshot.deadlock_counts),
            self._number("roster", tuple(roster), roster),
            self._prepared(snapshot.prepared, at_us),
            self._groups(snapshot.groups, at_us),
            changed,
        )

    def take(self) -> Part | None:
        """Returns what has been added since the last call, as the next part; None if nothing has."""
        if not self._content.times:
            return None
        content, self._content = self._content, _Content()
        self._before.extend(content)
        return content.part(_QUICK)

    def whole(self) -> Part:
        """Returns all that was added and taken, as one part."""
        return self._before.part(_SMALL)

    def _number(self, kind: _Kind, key: Hashable, value: object) -> int:
        """The number of a value; one that is new is written with the next part."""
        numbers = self._numbers[kind]
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(numbers)
            self._content.values.setdefault(kind, []).append(to_plain(value))
        return number

    def _add_session(self, session: Session, slot: _Slot, at_us: int) -> bool:
        # Called hundreds of times a second: no more calls than it needs.
        who, doing, query = _who(session), _doing(session), session.query
        query_s, state_s, xact_s = session.query_age_s, session.state_age_s, session.xact_age_s
        began = None if query_s is None else (at_us - round(query_s * 1e6)) // 1000
        state = None if state_s is None else (at_us - round(state_s * 1e6)) // 1000
        xact = None if xact_s is None else (at_us - round(xact_s * 1e6)) // 1000
        mask, columns = 0, self._content
        if who != slot.who:
            mask |= WHO_BIT
            slot.who = who
            columns.who.append(self._number("who", who, dict(zip(_WHO, who, strict=True))))
        if doing != slot.doing:
            mask |= DOING_BIT
            slot.doing = doing
            columns.doing.append(self._number("doing", doing, doing))
        if query != slot.query:
            mask |= QUERY_BIT
            slot.query = query
            columns.query.append(self._number("query", query, query))
        # Most begin together, or soon after each other: small numbers.
        reference = at_us // 1000 if began is None else began
        if began != slot.began_ms:
            mask |= BEGAN_BIT
            slot.began_ms = began
            columns.began.append(_coded(began, at_us // 1000))
        if state != slot.state_ms:
            mask |= STATE_BIT
            slot.state_ms = state
            columns.state.append(_coded(reference, state))
        if xact != slot.xact_ms:
            mask |= XACT_BIT
            slot.xact_ms = xact
            columns.xact.append(_coded(xact, reference))
        if mask:
            columns.changes += (slot.number, mask)
        return bool(mask)

    def _prepared(self, prepared: Sequence[PreparedTransaction], at_us: int) -> int:
        rows = [(replace(one, age_s=None), _began_ms(at_us, one.age_s)) for one in prepared]
        return self._number("prepared", tuple(rows), rows)

    def _groups(self, groups: Sequence[EdgeGroup], at_us: int) -> int:
        rows = []
        queues: dict[LockQueue[Party], int] = {}
        # By identity: thousands in a queue share what they wait for, and to compare it takes longer.
        abouts: dict[tuple[int, int], int] = {}
        for group in groups:
            same = id(group.lock), id(group.subject)
            about = abouts.get(same)
            if about is None:
                what = About(group.lock, group.subject)
                about = abouts[same] = self._number("about", what, what)
            key = group.waiter, group.kind, group.wait, group.confirmed, about
            number = self._numbers["group"].get(key)
            if number is None:
                tag = -1 if group.wait is None else self._number("tag", group.wait.tag, group.wait.tag)
                number = self._number("group", key, parts_of(group, about, tag))
            blockers = self._blockers(group.blockers, queues)
            rows.append((number, blockers, _began_ms(at_us, group.wait_s)))
        return self._number("groups", tuple(rows), rows)

    def _blockers(self, blockers: Sequence[Party], queues: dict[LockQueue[Party], int]) -> int:
        if not isinstance(blockers, QueuePrefix):
            return self._number("blockers", tuple(blockers), blockers)
        queue = queues.get(blockers.queue)
        if queue is None:
            members = blockers.queue.members
            queue = queues[blockers.queue] = self._number("queue", members, members)
        key = "first", queue, blockers.length
        return self._number("blockers", key, {"queue": queue, "first": blockers.length})


class _Content:
    """The content of a part: numbers per poll, per changed session, and of what has changed of it; values."""

    def __init__(self) -> None:
        self.values: dict[_Kind, list[object]] = {}
        self.times: list[int] = []
        self.polls: list[int] = []
        self.changes: list[int] = []
        self.who: list[int] = []
        self.doing: list[int] = []
        self.query: list[int] = []
        self.began: list[int] = []
        self.state: list[int] = []
        self.xact: list[int] = []

    @property
    def _details(self) -> tuple[list[int], ...]:
        return self.who, self.doing, self.query, self.began, self.state, self.xact

    def extend(self, other: _Content) -> None:
        """Adds the content of the next part."""
        for kind, values in other.values.items():
            self.values.setdefault(kind, []).extend(values)
        self.times += other.times
        self.polls += other.polls
        self.changes += other.changes
        for column, added in zip(self._details, other._details, strict=True):
            column += added

    def part(self, level: int) -> Part:
        """Packs it. `level` is zlib's."""
        polls = [self.polls[field::PER_POLL] for field in range(PER_POLL)]
        changes = [self.changes[field::PER_CHANGE] for field in range(PER_CHANGE)]
        values = json.dumps(self.values, separators=(",", ":")).encode()
        pieces = [zlib.compress(values, level)]
        for column in (*polls, *changes, *self._details):
            # Numbers repeat less than words do.
            compressor = zlib.compressobj(level, strategy=zlib.Z_FILTERED)
            pieces.append(compressor.compress(pack(column)) + compressor.flush())
        body = b"".join(len(piece).to_bytes(LENGTH, "little") + piece for piece in pieces)
        return Part(pack([at - before for before, at in pairwise([0, *self.times])]), body)


def _coded(time_ms: int | None, later_ms: int | None) -> int:
    """0 if one of them is None; else the milliseconds between them, of which 0 is 1."""
    if time_ms is None or later_ms is None:
        return 0
    distance = later_ms - time_ms
    return distance + 1 if distance >= 0 else distance
