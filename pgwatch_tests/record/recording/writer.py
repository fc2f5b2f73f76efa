"""Writer of a recording: samples and events of polls, a few seconds of them per transaction.

Nothing that goes wrong with the file ends anything: `trouble` says it; what couldn't be written is kept,
within limits, and tried again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import insert, update

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.record.events import EventTracker
from pgwatch_tests.record.model import DeadlockEvent, Mark, RecordedServer, RecordingHeader
from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.details import deflated, dictionary
from pgwatch_tests.record.recording.segments import Part, SegmentWriter
from pgwatch_tests.record.recording.thinning import thin
from pgwatch_tests.record.recording.unwritten import Unwritten, UnwrittenPart, storable
from pgwatch_tests.text.secrets import mask_text

FLUSH_AFTER_S: Final = 2.0
"""The oldest sample that isn't in the file yet is hardly older than this and one poll."""
MOVE_AFTER_S: Final = 10.0
"""Who copies the file alone, without what SQLite keeps beside it, misses this much at most."""
_UNSEEN_AFTER_S: Final = 10.0
"""Polls come more often than this; who was stopped for longer hasn't watched."""
_COMPARED: Final = 64
_CLOCK_MOVED_S: Final = 0.01
_CLOCK_SET_S: Final = 5.0
"""No poll takes so long to arrive: one of both clocks was set."""
_LONGEST_TEXT: Final = 2_000


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
        self._dictionary = dictionary()
        self._unwritten = Unwritten(self._dictionary, marks=[Mark(header.began, "recording_began")])
        self._logged_deadlocks = 0
        self._last: LockSnapshot | None = None
        self._last_machine_s = 0.0
        self._ready_s = header.began.timestamp()
        """Since when the first poll is tried, by this machine's clock."""
        self._server: RecordedServer | None = None
        self._ahead_s: deque[float] = deque(maxlen=_COMPARED)
        self._lost = ""
        self._polls = 0
        self._watched_s = self._unwatched_s = 0.0
        self._lost_s = 0.0
        """The seconds since the last sample, while the server doesn't answer."""
        self._flushed_s = clock()
        self._moved_s = float("-inf")
        self._is_open = True
        try:
            with layout.told(path, "written"), self._engine.begin() as connection:
                connection.execute(
                    insert(layout.recording),
                    {"header": deflated(header), "dictionary": self._dictionary, **self._totals()},
                )
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

    @property
    def is_pooled(self) -> bool:
        """Whether a connection pooler is between us and the server, by the last sample."""
        return self._last is not None and self._last.pooled

    def server_time(self, machine_time_s: float) -> datetime:
        """A moment of this machine's clock by the server's, as far as they were compared."""
        ahead_s = max(self._ahead_s, default=0.0)
        return datetime.fromtimestamp(machine_time_s + ahead_s, UTC)

    def add(self, snapshot: LockSnapshot, machine_time_s: float) -> None:
        """Adds a settled poll, which this machine had at that time of its clock (seconds since 1970)."""
        server = self._number_server(snapshot, machine_time_s)
        if self._last is None:
            self._events.begin(self.server_time(self._ready_s))
        after_gap = self._count(snapshot, machine_time_s)
        if self._lost:
            self._lost = ""
            self._unwritten.marks.append(Mark(snapshot.sampled_at, "server_back"))
        self._last, self._last_machine_s = snapshot, machine_time_s
        self._events.add(snapshot, server.number, after_gap=after_gap)
        if not self._segment.takes(snapshot):
            self._end_segment()
        self._segment.add(snapshot)
        self._flush_if_due()

    def add_quiet(self, machine_time_s: float) -> None:
        """Notes that a look which began at that time of this machine's clock found nobody waiting."""
        self._events.add_quiet(self.server_time(machine_time_s))

    def interrupt(self, reason: str, machine_time_s: float) -> None:
        """Notes that the server doesn't answer; from the last poll to the next, nobody watches."""
        if self._last is not None:
            self._lost_s = max(0.0, machine_time_s - self._last_machine_s)
        self._ready_s = machine_time_s
        if not self._lost:
            self._lost = reason or "no answer"
            last = self._last
            at = self.server_time(machine_time_s) if last is None else last.sampled_at
            self.mark(Mark(at, "server_lost", reason))
        else:
            self._flush_if_due()

    def mark(self, mark: Mark) -> None:
        """Adds a mark, and writes what there is: a mark may be the last thing that happens."""
        self._unwritten.marks.append(replace(mark, text=storable(mask_text(mark.text))[:_LONGEST_TEXT]))
        self.flush()

    def add_deadlock(self, deadlock: DeadlockEvent) -> None:
        """Adds a deadlock that polls didn't see."""
        self._logged_deadlocks += 1
        self._unwritten.add_deadlock(self._logged_deadlocks, deadlock)

    def add_leaks(self, report: LeakReport) -> None:
        """Adds the check after the suite; a later one takes its place."""
        self._unwritten.leak_report = report
        self.flush()

    def close(self, why: str = "", machine_time_s: float | None = None) -> None:
        """Writes the rest, and leaves one whole file; a file that can't be written is left as it is.

        `why` is the text of its last mark, which without a time is as old as the last sample.
        """
        if not self._is_open:
            return
        self._is_open = False
        if self._lost and self._last is not None and machine_time_s is not None:
            self._lost_s = max(0.0, machine_time_s - self._last_machine_s)
        if self._segment.polls:
            self._end_segment()
        at = self._last_at if machine_time_s is None else self.server_time(machine_time_s)
        self._unwritten.marks.append(Mark(at, "recording_ended", why))
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
        self._flushed_s = now_s = self._clock()
        self._cut_part()
        self._unwritten.add_events(self._events.take())
        try:
            with layout.told(self.path, "written"):
                with self._engine.begin() as connection:
                    self._unwritten.write(connection, self._totals())
                self._unwritten = Unwritten(self._dictionary)
                if self._max_bytes is not None:
                    with self._engine.begin() as connection:
                        thin(connection, self._max_bytes, self._segment_number)
                if now_s - self._moved_s >= MOVE_AFTER_S:
                    layout.move_into_file(self._engine)
                    self._moved_s = now_s
        except RecordingError as error:
            self.trouble = str(error)
            self._bound_unwritten()
            return False
        self.trouble = ""
        return True

    def _flush_if_due(self) -> None:
        if self._clock() - self._flushed_s >= FLUSH_AFTER_S:
            self.flush()

    # What is known of the server, and of the time.

    def _number_server(self, snapshot: LockSnapshot, machine_time_s: float) -> RecordedServer:
        before = self._server
        is_new = before is None or before.started_at != snapshot.server_started
        if is_new:
            self._ahead_s.clear()
        # The least delay between a poll and its arrival is what tells the clocks apart.
        ahead_s = snapshot.sampled_at.timestamp() - machine_time_s
        if self._ahead_s and abs(ahead_s - max(self._ahead_s)) > _CLOCK_SET_S:
            self._ahead_s.clear()
        self._ahead_s.append(ahead_s)
        ahead_s = round(max(self._ahead_s), 3)
        if before is None or is_new:
            now = RecordedServer(
                number=1 if before is None else before.number + 1,
                system_identifier=snapshot.system_identifier,
                started_at=snapshot.server_started,
                version=snapshot.server_version,
                address=snapshot.server,
                database=snapshot.database,
                pooled=snapshot.pooled,
                clock_ahead_s=ahead_s,
            )
        else:
            # Its identifier comes a moment after the first poll.
            identifier = snapshot.system_identifier or before.system_identifier
            has_moved = abs(ahead_s - (before.clock_ahead_s or 0.0)) > _CLOCK_MOVED_S
            now = replace(
                before,
                system_identifier=identifier,
                clock_ahead_s=ahead_s if has_moved else before.clock_ahead_s,
            )
        if now != before:
            self._server = self._unwritten.servers[now.number] = now
        return now

    def _count(self, snapshot: LockSnapshot, machine_time_s: float) -> bool:
        """Counts the time since the poll before; returns whether nobody watched in it."""
        self._polls += 1
        self._lost_s = 0.0
        if self._last is None:
            return False
        elapsed_s = (snapshot.sampled_at - self._last.sampled_at).total_seconds()
        here_s = machine_time_s - self._last_machine_s
        if elapsed_s < 0 or snapshot.server_started != self._last.server_started:
            elapsed_s = max(0.0, here_s)
        if self._lost or elapsed_s > _UNSEEN_AFTER_S:
            self._unwatched_s += elapsed_s
            if not self._lost and snapshot.sampled_at > self._last.sampled_at:
                # So that a report can tell when that was.
                stood_still = Mark(self._last.sampled_at, "server_lost", "the recorder stood still")
                self._unwritten.marks += [stood_still, Mark(snapshot.sampled_at, "server_back")]
            return True
        self._watched_s += elapsed_s
        return False

    def _totals(self) -> dict[str, object]:
        return {
            "polls": self._polls,
            "watched_s": self._watched_s,
            "unwatched_s": self._unwatched_s + self._lost_s,
            "is_whole": False,
        }

    # What isn't written yet.

    def _cut_part(self) -> None:
        part = self._segment.take()
        if part is not None:
            self._unwritten.add_part(self._extent(part))

    def _end_segment(self) -> None:
        """Has the segment written anew as one part, and begins the next."""
        self._segment.take()
        self._unwritten.add_part(self._extent(self._segment.whole(), is_whole=True))
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._segment = SegmentWriter()
        self._segment_number += 1

    def _extent(self, part: Part, *, is_whole: bool = False) -> UnwrittenPart:
        segment = self._segment
        return UnwrittenPart(
            self._segment_number, segment.began_us, segment.until_us, segment.polls, part, is_whole
        )

    def _bound_unwritten(self) -> None:
        dropped_s = self._unwritten.bound()
        if dropped_s:
            self._begin_segment()
            text = f"the samples of {dropped_s:.0f} s couldn't be written: {self.trouble}"
            self._unwritten.marks.append(Mark(self._last_at, "thinned", text[:_LONGEST_TEXT]))

    @property
    def _last_at(self) -> datetime:
        return self._last.sampled_at if self._last else self._header.began
