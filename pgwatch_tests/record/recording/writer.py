"""Writer of a recording: samples and events of polls, a few seconds of them per transaction.

Nothing that goes wrong with the file ends anything: `trouble` says it; what couldn't be written is kept,
within limits, and tried again.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.record.events import EventTracker, leak_events
from pgwatch_tests.record.model import (
    DeadlockEvent,
    Mark,
    RecordedServer,
    RecordingHeader,
    TestSighting,
    WaitEvent,
)
from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.segments import Part, SegmentWriter
from pgwatch_tests.record.recording.thinning import thin
from pgwatch_tests.record.recording.values import microseconds, to_json
from pgwatch_tests.text.secrets import mask_text

FLUSH_AFTER_S: Final = 2.0
"""The oldest sample that isn't in the file yet is hardly older than this and one poll."""
_UNSEEN_AFTER_S: Final = 10.0
"""Polls come more often than this; who was stopped for longer hasn't watched."""
_COMPARED: Final = 64
_MOST_PENDING_BYTES: Final = 8 << 20
_MOST_PENDING_WAITS: Final = 20_000
_CLOCK_MOVED_S: Final = 0.01
_LONGEST_TEXT: Final = 2_000


def deflated(value: object) -> bytes:
    """A frozen value as it is kept in a row."""
    return zlib.compress(to_json(value).encode(), 6)


@dataclass(frozen=True, slots=True)
class _PendingPart:
    segment: int
    began_us: int
    until_us: int
    polls: int
    part: Part


@dataclass(slots=True)
class _Pending:
    """What isn't in the file yet."""

    parts: list[_PendingPart] = field(default_factory=list)
    waits: dict[int, WaitEvent] = field(default_factory=dict)
    deadlocks: dict[int, DeadlockEvent] = field(default_factory=dict)
    tests: dict[tuple[int, str, str, str], TestSighting] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    servers: dict[int, RecordedServer] = field(default_factory=dict)
    leak_report: LeakReport | None = None


class RecordingWriter:
    """Writes one recording; for one thread. Use as a context manager, or call `close`.

    `clock` is monotonic, in seconds. Raises RecordingError if the file can't be made, FileExistsError if it
    is there. With `max_bytes` samples are thinned out, the oldest first; events are kept.
    """

    def __init__(
        self,
        path: Path,
        header: RecordingHeader,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.trouble = ""
        """Why the last write failed; empty if it didn't."""
        self._header = header
        self._max_bytes = max_bytes
        self._clock = clock
        self._engine = layout.create(path)
        self._events = EventTracker()
        self._segment, self._segment_number = SegmentWriter(), 1
        self._part_began_us = self._part_polls = 0
        self._pending = _Pending(marks=[Mark(header.began, "recording_began")])
        self._logged_deadlocks = 0
        self._last: LockSnapshot | None = None
        self._last_machine_s = 0.0
        self._server: RecordedServer | None = None
        self._ahead_s: deque[float] = deque(maxlen=_COMPARED)
        self._lost = ""
        self._polls = 0
        self._watched_s = self._unwatched_s = 0.0
        self._flushed_s = clock()
        self._is_open = True
        try:
            with layout.told(path, "written"), self._engine.begin() as connection:
                connection.execute(insert(layout.recording).values(header=deflated(header), **self._totals()))
        except RecordingError:
            self._engine.dispose()
            raise
        self.flush()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def blocked(self) -> int:
        """The sessions that the last sample shows waiting."""
        return self._events.blocked

    def server_time(self, machine_time_s: float) -> datetime:
        """A moment of this machine's clock by the server's, as far as they were compared."""
        ahead_s = max(self._ahead_s, default=0.0)
        return datetime.fromtimestamp(machine_time_s + ahead_s, UTC)

    def add(self, snapshot: LockSnapshot, machine_time_s: float) -> None:
        """Adds a settled poll, which this machine had at that time of its clock (seconds since 1970)."""
        server = self._number_server(snapshot, machine_time_s)
        self._count(snapshot, machine_time_s)
        if self._lost:
            self._lost = ""
            self._pending.marks.append(Mark(snapshot.sampled_at, "server_back"))
        self._last, self._last_machine_s = snapshot, machine_time_s
        self._events.add(snapshot, server.number)
        if not self._segment.takes(snapshot):
            self._cut_part()
            self._begin_segment()
        self._segment.add(snapshot)
        if not self._part_polls:
            self._part_began_us = self._segment.until_us
        self._part_polls += 1
        self._flush_if_due()

    def interrupt(self, reason: str, machine_time_s: float) -> None:
        """Notes that the server doesn't answer; the time until the next poll is unwatched."""
        if not self._lost:
            self._lost = reason or "no answer"
            self.mark(Mark(self.server_time(machine_time_s), "server_lost", reason))
        else:
            self._flush_if_due()

    def mark(self, mark: Mark) -> None:
        """Adds a mark, and writes what there is: a mark may be the last thing that happens."""
        self._pending.marks.append(replace(mark, text=mask_text(mark.text)[:_LONGEST_TEXT]))
        self.flush()

    def add_deadlock(self, deadlock: DeadlockEvent) -> None:
        """Adds a deadlock that polls didn't see."""
        self._logged_deadlocks += 1
        self._pending.deadlocks[2 * self._logged_deadlocks + 1] = deadlock

    def add_leaks(self, report: LeakReport) -> None:
        """Adds the check after the suite; a later one takes its place."""
        self._pending.leak_report = report
        self.flush()

    def close(self) -> None:
        """Writes the rest, and leaves one whole file; a file that can't be written is left as it is."""
        if not self._is_open:
            return
        self._is_open = False
        at = self._last.sampled_at if self._last else self._header.began
        self._pending.marks.append(Mark(at, "recording_ended"))
        if self._server is not None:
            self._pending.servers[self._server.number] = self._server
        try:
            if self.flush():
                with layout.told(self.path, "ended"):
                    with self._engine.begin() as connection:
                        connection.execute(update(layout.recording).values(is_whole=True))
                    layout.make_one_file(self._engine)
        except RecordingError as error:
            self.trouble = str(error)
        finally:
            self._engine.dispose()

    def flush(self) -> bool:
        """Writes what isn't in the file yet. Returns whether that worked; `trouble` says why not."""
        self._flushed_s = self._clock()
        self._collect()
        try:
            with layout.told(self.path, "written"):
                with self._engine.begin() as connection:
                    self._write(connection)
                self._pending = _Pending()
                if self._max_bytes is not None:
                    self._thin(self._max_bytes)
                layout.move_into_file(self._engine)
        except RecordingError as error:
            self.trouble = str(error)
            self._bound_pending()
            return False
        self.trouble = ""
        return True

    def _flush_if_due(self) -> None:
        if self._clock() - self._flushed_s >= FLUSH_AFTER_S:
            self.flush()

    # What is known of the server, and of the time.

    def _number_server(self, snapshot: LockSnapshot, machine_time_s: float) -> RecordedServer:
        before = self._server
        is_new = before is None or (before.system_identifier, before.started_at) != (
            snapshot.system_identifier,
            snapshot.server_started,
        )
        if is_new:
            self._ahead_s.clear()
        # The least delay between a poll and its arrival is what tells the clocks apart.
        self._ahead_s.append(snapshot.sampled_at.timestamp() - machine_time_s)
        ahead_s = round(max(self._ahead_s), 3)
        if before is None or is_new:
            if before is not None:
                self._pending.servers[before.number] = before
            self._server = RecordedServer(
                number=1 if before is None else before.number + 1,
                system_identifier=snapshot.system_identifier,
                started_at=snapshot.server_started,
                version=snapshot.server_version,
                address=snapshot.server,
                database=snapshot.database,
                pooled=snapshot.pooled,
                clock_ahead_s=ahead_s,
            )
            self._pending.servers[self._server.number] = self._server
            return self._server
        if abs(ahead_s - (before.clock_ahead_s or 0.0)) > _CLOCK_MOVED_S:
            self._server = replace(before, clock_ahead_s=ahead_s)
            self._pending.servers[before.number] = self._server
            return self._server
        return before

    def _count(self, snapshot: LockSnapshot, machine_time_s: float) -> None:
        self._polls += 1
        if self._last is None:
            return
        elapsed_s = (snapshot.sampled_at - self._last.sampled_at).total_seconds()
        here_s = machine_time_s - self._last_machine_s
        if elapsed_s < 0 or snapshot.server_started != self._last.server_started:
            elapsed_s = max(0.0, here_s)
        if self._lost or elapsed_s > _UNSEEN_AFTER_S:
            self._unwatched_s += elapsed_s
        else:
            self._watched_s += elapsed_s

    def _totals(self) -> dict[str, object]:
        return {
            "polls": self._polls,
            "watched_s": self._watched_s,
            "unwatched_s": self._unwatched_s,
            "is_whole": False,
        }

    # What isn't written yet.

    def _begin_segment(self) -> None:
        self._segment = SegmentWriter()
        self._segment_number += 1

    def _cut_part(self) -> None:
        part = self._segment.take()
        if part is not None:
            self._pending.parts.append(
                _PendingPart(
                    self._segment_number,
                    self._part_began_us,
                    self._segment.until_us,
                    self._part_polls,
                    part,
                )
            )
        self._part_polls = 0

    def _collect(self) -> None:
        self._cut_part()
        changes, pending = self._events.take(), self._pending
        pending.waits |= {wait.number: wait for wait in changes.waits}
        pending.deadlocks |= {2 * number: deadlock for number, deadlock in changes.deadlocks}
        for seen in changes.tests:
            key = seen.server, seen.runner, seen.worker, seen.test
            before = pending.tests.get(key)
            pending.tests[key] = replace(seen, polls=seen.polls + before.polls) if before else seen

    def _bound_pending(self) -> None:
        """Drops samples that have waited too long for room in the file, then the oldest waits."""
        pending = self._pending
        if sum(len(one.part.body) for one in pending.parts) > _MOST_PENDING_BYTES:
            since, until = pending.parts[0].began_us, pending.parts[-1].until_us
            pending.parts.clear()
            self._begin_segment()
            seconds = (until - since) / 1e6
            text = f"the samples of {seconds:.0f} s couldn't be written: {self.trouble}"
            at = self._last.sampled_at if self._last else self._header.began
            pending.marks.append(Mark(at - timedelta(seconds=seconds), "thinned", text))
        for number in list(pending.waits)[:-_MOST_PENDING_WAITS]:
            del pending.waits[number]

    # Statements.

    def _write(self, connection: Connection) -> None:
        pending = self._pending
        connection.execute(update(layout.recording).values(self._totals()))
        for number, server in pending.servers.items():
            statement = upsert(layout.servers).values(number=number, detail=deflated(server))
            connection.execute(statement.on_conflict_do_update(set_={"detail": statement.excluded.detail}))
        for one in pending.parts:
            self._write_part(connection, one)
        if pending.waits:
            waits = upsert(layout.waits)
            connection.execute(
                waits.on_conflict_do_update(
                    set_={name: waits.excluded[name] for name in ("ended_us", "waited_s", "detail")}
                ),
                [_wait_row(wait) for wait in pending.waits.values()],
            )
        if pending.deadlocks:
            deadlocks = upsert(layout.deadlocks)
            connection.execute(
                deadlocks.on_conflict_do_update(set_={"detail": deadlocks.excluded.detail}),
                [
                    {"number": number, "at_us": microseconds(one.at), "detail": deflated(one)}
                    for number, one in pending.deadlocks.items()
                ],
            )
        if pending.tests:
            tests = upsert(layout.tests)
            columns, new = layout.tests.c, tests.excluded
            connection.execute(
                tests.on_conflict_do_update(
                    set_={
                        "first_us": func.min(columns.first_us, new.first_us),
                        "last_us": func.max(columns.last_us, new.last_us),
                        "active_us": func.coalesce(new.active_us, columns.active_us),
                        "polls": columns.polls + new.polls,
                    }
                ),
                [_test_row(one) for one in pending.tests.values()],
            )
        if pending.marks:
            connection.execute(
                insert(layout.marks),
                [
                    {"at_us": microseconds(one.at), "kind": one.kind, "text": storable(one.text)}
                    for one in pending.marks
                ],
            )
        if pending.leak_report is not None:
            connection.execute(layout.leak_report.delete())
            connection.execute(layout.leaks.delete())
            connection.execute(insert(layout.leak_report).values(detail=deflated(pending.leak_report)))
            rows = [{"detail": deflated(leak)} for leak in leak_events(pending.leak_report)]
            if rows:
                connection.execute(insert(layout.leaks), rows)

    @staticmethod
    def _write_part(connection: Connection, one: _PendingPart) -> None:
        segments = upsert(layout.segments).values(
            number=one.segment,
            began_us=one.began_us,
            until_us=one.until_us,
            polls=one.polls,
            thinned=0,
        )
        connection.execute(
            segments.on_conflict_do_update(
                set_={
                    "until_us": segments.excluded.until_us,
                    "polls": layout.segments.c.polls + segments.excluded.polls,
                }
            )
        )
        connection.execute(insert(layout.parts).values(layout.part_row(one.segment, one.part)))

    def _thin(self, max_bytes: int) -> None:
        with self._engine.begin() as connection:
            thin(connection, max_bytes, self._segment_number)


def storable(text: str) -> str:
    """The text as SQLite can keep it: lone surrogates, which stand for bytes that are no text, as codes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _wait_row(wait: WaitEvent) -> dict[str, object]:
    return {
        "number": wait.number,
        "began_us": microseconds(wait.began),
        "ended_us": None if wait.ended is None else microseconds(wait.ended),
        "waited_s": wait.waited_s,
        "detail": deflated(wait),
    }


def _test_row(seen: TestSighting) -> dict[str, object]:
    return {
        "server": seen.server,
        "runner": seen.runner,
        "worker": seen.worker,
        "test": storable(seen.test),
        "first_us": microseconds(seen.first_seen),
        "last_us": microseconds(seen.last_seen),
        "active_us": None if seen.last_active is None else microseconds(seen.last_active),
        "polls": seen.polls,
    }
