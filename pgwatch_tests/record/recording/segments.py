"""Segments of a recording: about a minute of polls, packed. What is read back is what was polled. Pure.

A segment begins with a whole picture; each poll after it has the sessions that have changed. Whatever
repeats, statements, names, waits, is written once per segment, and then named by its number. Ages are kept as
beginnings, so that a session that does nothing isn't written again. **A beginning is kept to the
millisecond**, the earlier one: ages are up to 1 ms longer than they were (`as_recorded` has a snapshot as it
will be read back). All other times are exact, to the microsecond.

A segment is one zlib stream that is flushed part by part: whoever is killed leaves parts that can be read.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Final, Literal, TypeVar, cast, get_args

from pgwatch_tests.locks.model import (
    Capacity,
    DeadlockCounts,
    EdgeGroup,
    LockSnapshot,
    Party,
    PreparedTransaction,
    Session,
)
from pgwatch_tests.record.recording.columns import pack, unpack
from pgwatch_tests.record.recording.values import from_plain, microseconds, moment, to_plain

T = TypeVar("T")

_Kind = Literal[
    "rest", "capacity", "counts", "roster", "prepared", "groups", "group", "blockers", "who", "doing", "query"
]
_KINDS: Final[tuple[_Kind, ...]] = get_args(_Kind)
_DOING: Final = ("state", "wait_event_type", "wait_event")
_AGES: Final = ("query_age_s", "state_age_s", "xact_age_s")
_WHO: Final = tuple(field.name for field in fields(Session) if field.name not in (*_DOING, *_AGES, "query"))
_who, _doing = attrgetter(*_WHO), attrgetter(*_DOING)
_PER_POLL: Final = 8
_PER_CHANGE: Final = 2
_WHO_BIT, _DOING_BIT, _QUERY_BIT, _BEGAN_BIT, _STATE_BIT, _XACT_BIT = (1 << bit for bit in range(6))
_LENGTH: Final = 4
_MOST_CHANGES: Final = 20_000
"""A segment ends after so many changed sessions: to read one moment of it takes a tenth of a second."""
SEGMENT_S: Final = 60.0


def as_recorded(snapshot: LockSnapshot) -> LockSnapshot:
    """Returns a snapshot as it is read back: with ages that are up to 1 ms longer, in whole microseconds."""
    at_us = microseconds(snapshot.sampled_at)

    def age(age_s: float | None) -> float | None:
        return _age_s(at_us, _began_ms(at_us, age_s))

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


def _age_s(at_us: int, began_ms: int | None) -> float | None:
    return None if began_ms is None else (at_us - began_ms * 1000) / 1e6


@dataclass(frozen=True, slots=True)
class Part:
    """Some polls of a segment, in order."""

    times: bytes
    """A column of their times: microseconds since 1970, each but the first since the one before."""
    body: bytes
    """The next bytes of the segment's zlib stream."""


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
        self._compressor = zlib.compressobj(9)
        self._numbers: dict[_Kind, dict[Hashable, int]] = {kind: {} for kind in _KINDS}
        self._new: dict[_Kind, list[object]] = {}
        self._slots: dict[Hashable, _Slot] = {}
        self._times: list[int] = []
        self._columns = _Columns()

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
        self._times.append(at_us - self.until_us if self._times else at_us)
        self.until_us = at_us
        self.polls += 1
        roster, changed = [], 0
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
        rest = replace(
            snapshot,
            sampled_at=moment(0),
            sessions=(),
            prepared=(),
            groups=(),
            spent_s=0.0,
            deadlock_counts=None,
            capacity=None,
        )
        self._columns.polls += (
            round(snapshot.spent_s * 1e6),
            self._number("rest", rest, rest),
            self._number("capacity", snapshot.capacity, snapshot.capacity),
            self._number("counts", snapshot.deadlock_counts, snapshot.deadlock_counts),
            self._number("roster", tuple(roster), roster),
            self._prepared(snapshot.prepared, at_us),
            self._groups(snapshot.groups, at_us),
            changed,
        )

    def take(self) -> Part | None:
        """Returns what has been added since the last call, as the next part; None if nothing has."""
        if not self._times:
            return None
        values = json.dumps(self._new, separators=(",", ":")).encode()
        columns = b"".join(map(pack, self._columns.all))
        raw = b"".join((_length(values), values, _length(columns), columns))
        body = self._compressor.compress(raw) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        part = Part(pack(self._times), body)
        self._new, self._times, self._columns = {}, [], _Columns()
        return part

    def _number(self, kind: _Kind, key: Hashable, value: object) -> int:
        """The number of a value; one that is new is written with the next part."""
        numbers = self._numbers[kind]
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(numbers)
            self._new.setdefault(kind, []).append(to_plain(value))
        return number

    def _add_session(self, session: Session, slot: _Slot, at_us: int) -> bool:
        who, doing = _who(session), _doing(session)
        began = _began_ms(at_us, session.query_age_s)
        state = _began_ms(at_us, session.state_age_s)
        xact = _began_ms(at_us, session.xact_age_s)
        mask, at_ms, columns = 0, at_us // 1000, self._columns
        if who != slot.who:
            mask |= _WHO_BIT
            slot.who = who
            columns.who.append(self._number("who", who, dict(zip(_WHO, who, strict=True))))
        if doing != slot.doing:
            mask |= _DOING_BIT
            slot.doing = doing
            columns.doing.append(self._number("doing", doing, doing))
        if session.query != slot.query:
            mask |= _QUERY_BIT
            slot.query = session.query
            columns.query.append(self._number("query", session.query, session.query))
        if began != slot.began_ms:
            mask |= _BEGAN_BIT
            slot.began_ms = began
            columns.began.append(_coded(began, at_ms))
        # Most begin together, or soon after each other: small numbers.
        if state != slot.state_ms:
            mask |= _STATE_BIT
            slot.state_ms = state
            columns.state.append(_coded(state, at_ms if began is None else began))
        if xact != slot.xact_ms:
            mask |= _XACT_BIT
            slot.xact_ms = xact
            columns.xact.append(_coded(xact, at_ms if began is None else began))
        if mask:
            columns.changes += (slot.number, mask)
        return bool(mask)

    def _prepared(self, prepared: Sequence[PreparedTransaction], at_us: int) -> int:
        rows = [(replace(one, age_s=None), _began_ms(at_us, one.age_s)) for one in prepared]
        return self._number("prepared", tuple(rows), rows)

    def _groups(self, groups: Sequence[EdgeGroup], at_us: int) -> int:
        rows = []
        for group in groups:
            bare = replace(group, blockers=(), wait_s=None)
            number = self._number("group", bare, bare)
            blockers = self._number("blockers", group.blockers, group.blockers)
            rows.append((number, blockers, _began_ms(at_us, group.wait_s)))
        return self._number("groups", tuple(rows), rows)


class _Columns:
    """The numbers of a part: per poll, per changed session, and of what has changed of it."""

    def __init__(self) -> None:
        self.polls: list[int] = []
        self.changes: list[int] = []
        self.who: list[int] = []
        self.doing: list[int] = []
        self.query: list[int] = []
        self.began: list[int] = []
        self.state: list[int] = []
        self.xact: list[int] = []

    @property
    def all(self) -> list[list[int]]:
        polls = [self.polls[field::_PER_POLL] for field in range(_PER_POLL)]
        changes = [self.changes[field::_PER_CHANGE] for field in range(_PER_CHANGE)]
        return [*polls, *changes, self.who, self.doing, self.query, self.began, self.state, self.xact]


def _coded(time_ms: int | None, reference_ms: int) -> int:
    """0 for none; else its distance, of which 0 is 1."""
    if time_ms is None:
        return 0
    distance = reference_ms - time_ms
    return distance + 1 if distance >= 0 else distance


def _decoded(code: int, reference_ms: int) -> int | None:
    if code == 0:
        return None
    return reference_ms - (code - 1 if code > 0 else code)


def _length(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH, "little")


def times_of(packed: bytes) -> list[int]:
    """The times of a part, in microseconds since 1970. Raises ValueError."""
    deltas, _ = unpack(packed)
    times, at = [], 0
    for delta in deltas:
        at += delta
        times.append(at)
    return times


class Segment:
    """A segment that is read: its polls by their place. Raises one of `values.DAMAGES`, or zlib.error."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.times = [at for part in parts for at in times_of(part.times)]
        """Microseconds since 1970, of each poll."""
        raw = zlib.decompressobj().decompress(b"".join(part.body for part in parts))
        self._plain: dict[str, list[object]] = {kind: [] for kind in _KINDS}
        self._made: dict[tuple[str, int], object] = {}
        columns: list[list[int]] = [[] for _ in _Columns().all]
        start = 0
        for _ in parts:
            values, start = _cut(raw, start)
            for kind, added in json.loads(values).items():
                self._plain.setdefault(kind, []).extend(added)
            packed, start = _cut(raw, start)
            place = 0
            for column in columns:
                numbers, place = unpack(packed, place)
                column += numbers
        self._polls = list(zip(*columns[:_PER_POLL], strict=True))
        self._numbers, self._masks = columns[_PER_POLL : _PER_POLL + _PER_CHANGE]
        self._details = columns[_PER_POLL + _PER_CHANGE :]
        if len(self._polls) != len(self.times):
            raise ValueError("polls and times differ")
        self._rewind()

    def snapshot(self, place: int) -> LockSnapshot:
        """The poll at that place, from 0."""
        if place < self._place:
            self._rewind()
        while self._place < place:
            self._step()
        spent_us, rest, capacity, counts, roster, prepared, groups, _ = self._polls[place]
        at_us = self.times[place]
        return replace(
            self._value("rest", rest, LockSnapshot),
            sampled_at=moment(at_us),
            spent_s=spent_us / 1e6,
            capacity=self._value("capacity", capacity, cast(type[Capacity | None], Capacity | None)),
            deadlock_counts=self._value(
                "counts", counts, cast(type[DeadlockCounts | None], DeadlockCounts | None)
            ),
            sessions=tuple(
                self._session(slot, at_us) for slot in self._value("roster", roster, tuple[int, ...])
            ),
            prepared=tuple(
                replace(one, age_s=_age_s(at_us, began))
                for one, began in self._value(
                    "prepared", prepared, tuple[tuple[PreparedTransaction, int | None], ...]
                )
            ),
            groups=tuple(
                replace(
                    self._value("group", group, EdgeGroup),
                    blockers=self._value("blockers", blockers, tuple[Party, ...]),
                    wait_s=_age_s(at_us, began),
                )
                for group, blockers, began in self._value(
                    "groups", groups, tuple[tuple[int, int, int | None], ...]
                )
            ),
        )

    def _rewind(self) -> None:
        self._place, self._change = -1, 0
        self._read = [0] * len(self._details)
        self._slots: dict[int, _ReadSlot] = {}

    def _step(self) -> None:
        self._place += 1
        at_ms = self.times[self._place] // 1000
        end = self._change + self._polls[self._place][-1]
        for change in range(self._change, end):
            mask = self._masks[change]
            slot = self._slots.setdefault(self._numbers[change], _ReadSlot())
            if mask & _WHO_BIT:
                slot.who = self._next(0)
            if mask & _DOING_BIT:
                slot.doing = self._next(1)
            if mask & _QUERY_BIT:
                slot.query = self._next(2)
            if mask & _BEGAN_BIT:
                slot.began_ms = _decoded(self._next(3), at_ms)
            reference = at_ms if slot.began_ms is None else slot.began_ms
            if mask & _STATE_BIT:
                slot.state_ms = _decoded(self._next(4), reference)
            if mask & _XACT_BIT:
                slot.xact_ms = _decoded(self._next(5), reference)
        self._change = end

    def _next(self, column: int) -> int:
        place = self._read[column]
        self._read[column] = place + 1
        return self._details[column][place]

    def _session(self, number: int, at_us: int) -> Session:
        slot = self._slots[number]
        state, wait_event_type, wait_event = self._value(
            "doing", slot.doing, tuple[str | None, str | None, str | None]
        )
        return replace(
            self._value("who", slot.who, Session),
            state=state,
            wait_event_type=wait_event_type,
            wait_event=wait_event,
            xact_age_s=_age_s(at_us, slot.xact_ms),
            state_age_s=_age_s(at_us, slot.state_ms),
            query_age_s=_age_s(at_us, slot.began_ms),
            query=self._value("query", slot.query, str),
        )

    def _value(self, kind: str, number: int, form: type[T]) -> T:
        key = kind, number
        if key not in self._made:
            self._made[key] = from_plain(self._plain[kind][number], form)
        return cast(T, self._made[key])


@dataclass(slots=True)
class _ReadSlot:
    """A session as the polls so far have it: numbers of values, and beginnings."""

    who: int = -1
    doing: int = -1
    query: int = -1
    began_ms: int | None = None
    state_ms: int | None = None
    xact_ms: int | None = None


def _cut(raw: bytes, start: int) -> tuple[bytes, int]:
    begin = start + _LENGTH
    end = begin + int.from_bytes(raw[start:begin], "little")
    if begin > len(raw) or end > len(raw):
        raise ValueError("a part is cut off")
    return raw[begin:end], end
