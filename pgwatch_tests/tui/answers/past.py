"""The last hour of snapshots, packed as a recording packs them, for going back in time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from datetime import datetime, timedelta

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.glance import later
from pgwatch_tests.record.recording.read_segments import Segment
from pgwatch_tests.record.recording.segments import Part, SegmentWriter
from pgwatch_tests.record.recording.values import microseconds

KEPT_S = 3600.0


class Past:
    """Keeps the snapshots of the last hour: of 50 busy sessions, polled four times a second, about 4 MB."""

    def __init__(self) -> None:
        self._times_us: list[int] = []
        """Of all that is kept, the oldest first."""
        self._until_us: list[int] = []
        """Until when each is known to have gone on unchanged."""
        self._packed: list[tuple[int, Part]] = []
        """How many snapshots each segment has that is over."""
        self._writer = SegmentWriter()
        self._read: tuple[Part | int, Segment] | None = None
        """What was read last: the next moment is nearly always in it, too."""

    def __len__(self) -> int:
        return len(self._times_us)

    def add(self, snapshot: LockSnapshot) -> None:
        """Keeps a snapshot. One from before the last, after a step of the server's clock, begins anew."""
        at_us = microseconds(snapshot.sampled_at)
        if self._times_us and at_us < self._times_us[-1]:
            self.forget()
        if not self._writer.takes(snapshot):
            self._packed.append((self._writer.polls, self._present()))
            self._writer = SegmentWriter()
        self._writer.add(snapshot)
        self._times_us.append(at_us)
        self._until_us.append(at_us)
        while self._packed and at_us - self._times_us[self._packed[0][0] - 1] > KEPT_S * 1e6:
            polls, _ = self._packed.pop(0)
            del self._times_us[:polls], self._until_us[:polls]

    def go_on(self, until: datetime) -> None:
        """Keeps that the last snapshot has gone on until then: nothing but its durations is another."""
        if self._until_us:
            self._until_us[-1] = max(self._until_us[-1], microseconds(until))

    def forget(self) -> None:
        """Forgets everything."""
        self._times_us, self._until_us, self._packed, self._writer = [], [], [], SegmentWriter()

    def moved(self, shown: datetime, seconds: float) -> LockSnapshot | None:
        """The snapshot that many seconds before (below 0) or after the shown one, the next one at least.

        None if there is none in that direction. Where nothing had changed, that of before, as it was then.
        """
        shown_us = microseconds(shown)
        moment_us = shown_us + round(seconds * 1e6)
        if not self._times_us or (seconds < 0 and shown_us <= self._times_us[0]):
            return None
        place = max(0, bisect_right(self._times_us, moment_us) - 1)
        if seconds > 0 and min(moment_us, self._until_us[place]) <= shown_us:
            # Nobody looked between the shown one and that moment.
            place += 1
        return self._as_of(place, moment_us) if place < len(self._times_us) else None

    def _as_of(self, place: int, moment_us: int) -> LockSnapshot:
        """A snapshot as it was at a moment, as far as it has gone on."""
        snapshot, began_us = self._snapshot(place), self._times_us[place]
        on_us = min(moment_us, self._until_us[place]) - began_us
        return later(snapshot, snapshot.sampled_at + timedelta(microseconds=on_us)) if on_us > 0 else snapshot

    def _snapshot(self, place: int) -> LockSnapshot:
        # The present segment grows, and is another one with each poll.
        packed: Part | None = None
        for polls, part in self._packed:
            if place < polls:
                packed = part
                break
            place -= polls
        key = len(self._times_us) if packed is None else packed
        if self._read is None or self._read[0] != key:
            self._read = key, Segment([self._present() if packed is None else packed])
        return replace(self._read[1].snapshot(place), is_past=True)

    def _present(self) -> Part:
        """All that the writer was given, packed."""
        self._writer.take()
        return self._writer.whole()
