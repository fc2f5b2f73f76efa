"""Segments of a recording, unpacked: the snapshot of each poll. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.lock_queue import LockQueue
from pgwatch_tests.locks.model import (
    DeadlockCounts,
    EdgeGroup,
    LockSnapshot,
    LockTag,
    Party,
    PreparedTransaction,
    Session,
)
from pgwatch_tests.record.recording.columns import unpack
from pgwatch_tests.record.recording.group_parts import About, GroupParts, group_of
from pgwatch_tests.record.recording.segments import (
    ALL_COLUMNS,
    BEGAN_BIT,
    DOING_BIT,
    KINDS,
    LENGTH,
    PER_CHANGE,
    PER_POLL,
    QUERY_BIT,
    STATE_BIT,
    WHO_BIT,
    XACT_BIT,
    Part,
    age_at,
)
from pgwatch_tests.record.recording.values import from_plain, moment

T = TypeVar("T")


def _decoded(code: int, reference_ms: int, sign: int = -1) -> int | None:
    """The time that is so far before the reference, or after it with `sign` 1; None for 0."""
    if code == 0:
        return None
    return reference_ms + sign * (code - 1 if code > 0 else code)


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
        self._plain: dict[str, list[object]] = {kind: [] for kind in KINDS}
        self._made: dict[tuple[str, int], object] = {}
        columns: list[list[int]] = [[] for _ in range(ALL_COLUMNS)]
        for part in parts:
            values, *packed = _pieces(part.body)
            for kind, added in json.loads(values).items():
                self._plain.setdefault(kind, []).extend(added)
            for column, piece in zip(columns, packed, strict=True):
                column += unpack(piece)[0]
        self._polls = list(zip(*columns[:PER_POLL], strict=True))
        self._numbers, self._masks = columns[PER_POLL : PER_POLL + PER_CHANGE]
        self._details = columns[PER_POLL + PER_CHANGE :]
        if len(self._polls) != len(self.times):
            raise ValueError("polls and times differ")
        self._rewind()

    def snapshot(self, place: int) -> LockSnapshot:
        """The poll at that place, from 0."""
        if place < self._place:
            self._rewind()
        try:
            self._go_to(place)
        except StopIteration:
            raise ValueError("a column is too short") from None
        spent_us, rest, capacity, counts, roster, prepared, groups, _ = self._polls[place]
        at_us = self.times[place]
        return replace(
            self._rest(rest),
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
                replace(one, age_s=age_at(at_us, began))
                for one, began in self._value(
                    "prepared", prepared, tuple[tuple[PreparedTransaction, int | None], ...]
                )
            ),
            groups=tuple(
                replace(
                    self._group(group),
                    blockers=self._blockers(blockers),
                    wait_s=age_at(at_us, began),
                )
                for group, blockers, began in self._value(
                    "groups", groups, tuple[tuple[int, int, int | None], ...]
                )
            ),
        )

    def _group(self, number: int) -> EdgeGroup:
        plain = self._plain["group"][number]
        if isinstance(plain, dict) and "lock" in plain:
            return self._value("group", number, EdgeGroup)  # layout 1
        key = "whole group", number
        if key not in self._made:
            parts = self._value("group", number, GroupParts)
            about = self._value("about", parts.about, About)
            tag = self._value("tag", parts.wait.tag, LockTag) if parts.wait else None
            self._made[key] = group_of(parts, about, tag)
        return cast(EdgeGroup, self._made[key])

    def _blockers(self, number: int) -> Sequence[Party]:
        plain = self._plain["blockers"][number]
        if not isinstance(plain, dict):
            return self._value("blockers", number, tuple[Party, ...])
        key = "queue of blockers", int(plain["queue"])
        if key not in self._made:
            self._made[key] = LockQueue(self._value("queue", key[1], tuple[Party, ...]))
        queue, length = cast(LockQueue[Party], self._made[key]), int(plain["first"])
        if not 0 <= length <= len(queue.members):
            raise ValueError("more members of a queue than it has")
        return queue.first(length)

    def _rest(self, number: int) -> LockSnapshot:
        empty = {"sampled_at": 0, "sessions": [], "prepared": [], "groups": []}
        plain = self._plain["rest"][number]
        if isinstance(plain, dict) and "sampled_at" not in plain:
            plain.update(empty)
        return self._value("rest", number, LockSnapshot)

    def _rewind(self) -> None:
        self._place, self._change = -1, 0
        self._rest_of = [iter(column) for column in self._details]
        self._slots: dict[int, _ReadSlot] = {}

    def _go_to(self, place: int) -> None:
        """Takes the changes of the polls up to that one."""
        # Called for thousands of changes at once: no more calls than it needs.
        who, doing, query, began, state, xact = self._rest_of
        slots = self._slots
        while self._place < place:
            self._place += 1
            at_ms = self.times[self._place] // 1000
            start = self._change
            self._change = end = start + self._polls[self._place][-1]
            for number, mask in zip(self._numbers[start:end], self._masks[start:end], strict=True):
                slot = slots.get(number)
                if slot is None:
                    slot = slots[number] = _ReadSlot()
                if mask & WHO_BIT:
                    slot.who = next(who)
                if mask & DOING_BIT:
                    slot.doing = next(doing)
                if mask & QUERY_BIT:
                    slot.query = next(query)
                if mask & BEGAN_BIT:
                    slot.began_ms = _decoded(next(began), at_ms)
                reference = at_ms if slot.began_ms is None else slot.began_ms
                if mask & STATE_BIT:
                    slot.state_ms = _decoded(next(state), reference, sign=1)
                if mask & XACT_BIT:
                    slot.xact_ms = _decoded(next(xact), reference)

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
            xact_age_s=age_at(at_us, slot.xact_ms),
            state_age_s=age_at(at_us, slot.state_ms),
            query_age_s=age_at(at_us, slot.began_ms),
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


def _pieces(body: bytes) -> Iterator[bytes]:
    """Yields what was packed into a part, inflated."""
    start = 0
    while start < len(body):
        begin = start + LENGTH
        start = begin + int.from_bytes(body[start:begin], "little")
        yield zlib.decompress(body[begin:start])
