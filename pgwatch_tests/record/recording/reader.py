"""Reader of a recording: a sample at a moment, and all events. A file that is still being written is fine."""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar, TypeVarTuple, cast

from sqlalchemy import Connection, Engine, Row, Select, Table, func, select

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.record.model import (
    DeadlockEvent,
    LeakEvent,
    Mark,
    MarkKind,
    RecordedServer,
    RecordingHeader,
    TestSighting,
    WaitEvent,
)
from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.details import inflated
from pgwatch_tests.record.recording.read_segments import Segment, times_of
from pgwatch_tests.record.recording.values import DAMAGES, microseconds, moment

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_KEPT_SEGMENTS: Final = 4


@dataclass(frozen=True, slots=True)
class _Extent:
    """A segment's place in time, in microseconds since 1970, and how many polls it has."""

    number: int
    began_us: int
    until_us: int
    polls: int


class Recording:
    """A recording that is read. Use as a context manager, or call `close`; for any thread.

    All methods raise RecordingError, in one line, if the file can't be read or is damaged.
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._lock = threading.RLock()
        self._segments: OrderedDict[tuple[int, int], Segment] = OrderedDict()
        whole = self._whole()
        self._dictionary: bytes = whole.dictionary
        self.header = inflated(whole.header, RecordingHeader)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Opens a recording. Raises RecordingError: not a recording, newer layout, damaged, unreadable."""
        engine = layout.open_to_read(path)
        try:
            with _damage_told(path):
                return cls(path, engine)
        except RecordingError:
            engine.dispose()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._engine.dispose()

    # The whole.

    @property
    def servers(self) -> tuple[RecordedServer, ...]:
        """The servers that were polled, in the order of their first polls."""
        return tuple(self._details(layout.servers, RecordedServer))

    @property
    def began(self) -> datetime:
        """The first sample's time, by the server; without any, when the recording began."""
        [began_us] = self._rows(select(func.min(layout.segments.c.began_us)))[0]
        with _damage_told(self.path):
            return self.header.began if began_us is None else moment(began_us)

    @property
    def until(self) -> datetime:
        """The last sample's time, by the server; without any, when the recording began."""
        [until_us] = self._rows(select(func.max(layout.segments.c.until_us)))[0]
        with _damage_told(self.path):
            return self.header.began if until_us is None else moment(until_us)

    @property
    def is_whole(self) -> bool:
        """Whether it ended by itself: it isn't being written, and its recorder wasn't killed."""
        return bool(self._whole().is_whole)

    @property
    def polls(self) -> int:
        """How many polls there were, those included whose samples were thinned out since."""
        return int(self._whole().polls)

    @property
    def watched_s(self) -> float:
        """The seconds between polls."""
        return float(self._whole().watched_s)

    @property
    def unwatched_s(self) -> float:
        """The seconds in which the server didn't answer, or the recorder stood still."""
        return float(self._whole().unwatched_s)

    # Samples.

    def at(self, moment: datetime) -> LockSnapshot | None:
        """Returns the last sample at or before a moment; None if there is none.

        Where the server's clock was set back, that is the one with the latest time, of equal ones the last.
        """
        at_us = microseconds(moment)
        with self._reading() as connection:
            best: tuple[int, int] | None = None
            # The last written first: of equal times it counts.
            for extent in sorted(self._extents(connection), key=lambda one: -one.number):
                if extent.began_us > at_us or (best and min(extent.until_us, at_us) <= best[0]):
                    continue
                times = self._times(connection, extent)
                place = bisect_right(times, at_us)
                if place and (best is None or times[place - 1] > best[0]):
                    best = times[place - 1], extent.number
            if best is None:
                return None
            return self._snapshot(connection, *best)

    def after(self, moment: datetime) -> datetime | None:
        """Returns the time of the next sample after a moment; None if there is none."""
        return self._neighbour(moment, forward=True)

    def before(self, moment: datetime) -> datetime | None:
        """Returns the time of the last sample before a moment; None if there is none."""
        return self._neighbour(moment, forward=False)

    def polls_until(self, moment: datetime) -> int:
        """Returns how many samples there are at or before a moment."""
        at_us = microseconds(moment)
        with self._reading() as connection:
            return sum(
                extent.polls
                if extent.until_us <= at_us
                else bisect_right(self._times(connection, extent), at_us)
                for extent in self._extents(connection)
                if extent.began_us <= at_us
            )

    def snapshots(self) -> Iterator[LockSnapshot]:
        """Yields all samples in the order in which they were recorded."""
        with self._reading() as connection:
            numbers = [
                extent.number for extent in sorted(self._extents(connection), key=lambda one: one.number)
            ]
        for number in numbers:
            with self._reading() as connection:
                segment = Segment(layout.read_parts(connection, number))
                polls = [segment.snapshot(place) for place in range(len(segment.times))]
            yield from polls

    # Events.

    def waits(self) -> tuple[WaitEvent, ...]:
        """Returns all waits, in the order of their beginnings."""
        return tuple(self._details(layout.waits, WaitEvent, "began_us"))

    def longest_wait(self) -> WaitEvent | None:
        """Returns the longest wait, without reading the others; None if there was none."""
        columns = layout.waits.c
        longest = select(columns.detail).order_by(columns.waited_s.desc(), columns.number).limit(1)
        with _damage_told(self.path):
            for row in self._rows(longest):
                return inflated(row.detail, WaitEvent, self._dictionary)
        return None

    def deadlocks(self) -> tuple[DeadlockEvent, ...]:
        """Returns all deadlocks, in the order of their times."""
        return tuple(self._details(layout.deadlocks, DeadlockEvent, "at_us"))

    def tests(self) -> tuple[TestSighting, ...]:
        """Returns the tests that were seen, in the order of their first sights."""
        columns = layout.tests.c
        return tuple(
            TestSighting(
                test=row.test,
                runner=row.runner,
                worker=row.worker,
                server=row.server,
                first_seen=moment(row.first_us),
                last_seen=moment(row.last_us),
                polls=row.polls,
                last_active=None if row.active_us is None else moment(row.active_us),
            )
            for row in self._rows(select(layout.tests).order_by(columns.first_us, columns.test))
        )

    def marks(self) -> tuple[Mark, ...]:
        """Returns all marks, in the order of their times."""
        columns = layout.marks.c
        rows = self._rows(select(layout.marks).order_by(columns.at_us, columns.number))
        return tuple(Mark(moment(row.at_us), cast(MarkKind, row.kind), row.text) for row in rows)

    def leaks(self) -> tuple[LeakEvent, ...]:
        """Returns what the suite left, by table and test."""
        return tuple(self._details(layout.leaks, LeakEvent))

    def leak_report(self) -> LeakReport | None:
        """Returns the check after the suite; None if there was none."""
        with _damage_told(self.path):
            for row in self._rows(select(layout.leak_report.c.detail)):
                return inflated(row.detail, LeakReport, self._dictionary)
        return None

    # The file.

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with (
            self._lock,
            layout.told(self.path, "read"),
            _damage_told(self.path),
            self._engine.begin() as connection,
        ):
            yield connection

    def _rows(self, statement: Select[*Ts]) -> Sequence[Row[*Ts]]:
        with self._reading() as connection:
            return connection.execute(statement).all()

    def _whole(self) -> Row[*tuple[Any, ...]]:
        return self._rows(select(layout.recording))[0]

    def _details(self, table: Table, form: type[T], order: str = "number") -> list[T]:
        rows = self._rows(select(table.c.detail).order_by(table.c[order], table.c.number))
        with _damage_told(self.path):
            return [inflated(row.detail, form, self._dictionary) for row in rows]

    def _extents(self, connection: Connection) -> list[_Extent]:
        """All segments, in the order of time, those recorded later last where they begin together."""
        columns = layout.segments.c
        rows = connection.execute(
            select(columns.number, columns.began_us, columns.until_us, columns.polls).order_by(
                columns.began_us, columns.number
            )
        )
        return [_Extent(*row) for row in rows]

    def _times(self, connection: Connection, extent: _Extent) -> list[int]:
        known = self._segments.get((extent.number, extent.polls))
        if known is not None:
            return known.times
        columns = layout.parts.c
        rows = connection.execute(
            select(columns.times).where(columns.segment == extent.number).order_by(columns.number)
        )
        return [at for (times,) in rows for at in times_of(times)]

    def _snapshot(self, connection: Connection, at_us: int, number: int) -> LockSnapshot:
        polls = connection.execute(
            select(layout.segments.c.polls).where(layout.segments.c.number == number)
        ).scalar_one()
        key = number, polls
        segment = self._segments.pop(key, None)
        if segment is None:
            segment = Segment(layout.read_parts(connection, number))
        self._segments[key] = segment
        while len(self._segments) > _KEPT_SEGMENTS:
            self._segments.popitem(last=False)
        return segment.snapshot(bisect_right(segment.times, at_us) - 1)

    def _neighbour(self, moment_: datetime, *, forward: bool) -> datetime | None:
        at_us = microseconds(moment_)
        best: int | None = None
        with self._reading() as connection:
            for extent in self._extents(connection):
                if forward:
                    if extent.until_us <= at_us or (best is not None and extent.began_us >= best):
                        continue
                    if extent.began_us > at_us:
                        best = extent.began_us
                        continue
                    times = self._times(connection, extent)
                    best = min(filter(None, (best, times[bisect_right(times, at_us)])))
                else:
                    if extent.began_us >= at_us or (best is not None and extent.until_us <= best):
                        continue
                    if extent.until_us < at_us:
                        best = extent.until_us
                        continue
                    times = self._times(connection, extent)
                    found = times[bisect_left(times, at_us) - 1]
                    best = found if best is None else max(best, found)
            # In here: a damaged time may be none at all.
            return None if best is None else moment(best)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (*DAMAGES, zlib.error):
        raise layout.damaged(path) from None
