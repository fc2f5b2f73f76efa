"""Replay source: recordings of one server as one time line, and what it looked like at any moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock

from pgwatch_tests.errors import ConfigurationError, RecordingError
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.record.merging.merged import RecordedRun, ServerReport, merge
from pgwatch_tests.record.merging.watched import Span
from pgwatch_tests.record.model import Mark, RecordedServer
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.replay.contention import RecordedContention
from pgwatch_tests.record.replay.events import ReplayEvents
from pgwatch_tests.record.replay.jump import first_sight, moment_at
from pgwatch_tests.record.replay.names import named_sighting, named_snapshot, named_wait
from pgwatch_tests.text.plain_text import plain

_POLLS_UNTIL_SHOWN = 4
"""A wait is shown from its second poll on, or once it is 100 ms old."""
_MOST_WAITS_LOOKED_AT = 200
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a recording knows of a moment, and of those after it until `changes_at`."""

    since: datetime
    """When the sample was made, or when the gap began."""
    changes_at: datetime | None
    """When there is another picture: at the next sample, or where a gap begins or ends; None at the end."""
    snapshot: LockSnapshot | None = None
    """The last sample at or before the moment; None in a gap."""
    gap: Span | None = None
    apart_s: float | None = None
    """Seconds to the next sample; None in a gap and at the end."""
    marks: tuple[Mark, ...] = ()
    """The marks from `since` to `changes_at`."""

    def holds_at(self, moment: datetime) -> bool:
        """Whether this is the picture of that moment, too."""
        return self.since <= moment and (self.changes_at is None or moment < self.changes_at)


class ReplaySource:
    """Recordings of one server. Any thread may call; each call may take some milliseconds.

    All methods raise RecordingError if a file can't be read any more, or is damaged.
    """

    def __init__(self, recordings: Sequence[Recording], known: KnownTests | None = None) -> None:
        self.recordings = recordings
        self._known = known
        self.began = min(one.began for one in recordings)
        self.until = max(one.until for one in recordings)
        self.breaks_off_at = tuple(sorted(one.until for one in recordings if not one.is_whole))
        """The last samples of the recordings that didn't end by themselves."""
        self.killed_at = tuple(sorted(one.until for one in recordings if _has_outlived_its_run(one)))
        """The last samples of the recordings whose suite was killed, and `run` with it."""
        self._lock = RLock()
        self._outline: ReplayEvents | None = None
        self._events: ReplayEvents | None = None
        self._contention: RecordedContention | None = None

    # Moments.

    @property
    def opens_at(self) -> datetime:
        """The first moment shown: where a suite was stopped, else the longest wait ended, else the start."""
        if self.breaks_off_at or self.killed_at:
            return max(*self.breaks_off_at, *self.killed_at, self.began)
        signals = [mark.at for mark in self.outline.marks if mark.kind == "signal"]
        if signals:
            return max(self.began, min(self.until, signals[0]))
        waits = filter(None, (one.longest_wait() for one in self.recordings))
        longest = max(waits, key=lambda wait: wait.waited_s, default=None)
        if longest is None:
            return self.began
        last = self._sample(-1, min(longest.ended or self.until, self.until))
        if last is None or last < longest.began:
            return self._first_sample(longest.began, longest.waiter.pid)
        return last

    def picture(self, moment: datetime) -> Picture:
        """The picture of a moment, which is at `began` or later."""
        outline = self.outline
        gap = outline.gap_at(moment)
        if gap is not None:
            return Picture(gap.since, gap.until, gap=gap, marks=outline.marks_between(gap.since, gap.until))
        seen = filter(None, (one.at(moment) for one in self.recordings))
        snapshot = max(seen, key=lambda one: one.sampled_at, default=None)
        if snapshot is not None:
            snapshot = replace(snapshot, is_past=True)
            snapshot = named_snapshot(snapshot, self._known) if self._known else snapshot
        following = self._sample(1, moment)
        since = moment if snapshot is None else snapshot.sampled_at
        gap = outline.gap_after(since)
        changes_at, apart_s = following, None
        if gap is not None and (following is None or gap.since < following):
            changes_at = max(gap.since, since + _MOMENT)  # a gap begins with the last sample before it
        elif following is not None:
            apart_s = (following - since).total_seconds()
        marks = outline.marks_between(since, changes_at)
        return Picture(since, changes_at, snapshot, apart_s=apart_s, marks=marks)

    def contention(self, moment: datetime) -> Contention:
        """The sums of contention from the beginning to a moment."""
        with self._lock:
            if self._contention is None:
                server = self._server
                self._contention = RecordedContention(
                    self.events, server.version if server else "?", server.database if server else ""
                )
            polls = sum(one.polls_until(moment) for one in self.recordings)
            return self._contention.until(moment, polls)

    @property
    def leaks(self) -> LeakReport | None:
        """The last check after a suite; None if there was none."""
        reports = filter(None, (one.leak_report() for one in self.recordings))
        return max(reports, key=lambda one: one.checked_at, default=None)

    @property
    def outline(self) -> ReplayEvents:
        """The gaps and marks, without other events: few, and so read at once."""
        if self._events is not None:
            return self._events
        with self._lock:
            if self._outline is None:
                self._outline = self._read_events(outline=True)
            return self._outline

    @property
    def events(self) -> ReplayEvents:
        """All events; read once."""
        with self._lock:
            if self._events is None:
                self._events = self._read_events(outline=False)
            return self._events

    # Moves: each returns where it leads from a moment, None if nowhere.

    def step(self, samples: int, moment: datetime) -> datetime | None:
        """The next sample (1), or the one before (-1)."""
        return self._sample(samples, moment)

    def wait(self, direction: int, moment: datetime) -> datetime | None:
        """The first sample that shows the next wait (1), or the last wait that began before (-1).

        What is shown at `moment` already is no next wait.
        """
        shown = self._shown_at(moment)
        seen = shown
        for _ in range(_MOST_WAITS_LOOKED_AT):
            wait = self.events.wait_after(seen) if direction > 0 else self.events.wait_before(seen)
            if wait is None:
                return None
            sample = self._first_sample(wait.began, wait.waiter.pid)
            if direction > 0 or sample < shown:
                return sample
            # What began after the same sample is first seen in the same one.
            before = self._sample(-1, wait.began)
            if before is None:
                return None
            seen = before
        return None

    def deadlock(self, direction: int, moment: datetime) -> datetime | None:
        """The next deadlock (1), or the one before (-1)."""
        return self.events.deadlock(direction, moment)

    def mark(self, direction: int, moment: datetime) -> datetime | None:
        """The next mark that is worth a look (1), or the one before (-1)."""
        return self.events.mark(direction, moment)

    def find(self, text: str) -> datetime:
        """The moment that is meant by a time, or by a part of a test's name. Raises ConfigurationError."""
        moment = moment_at(text, self.began, self.until)
        if moment is None:
            moment = first_sight(text, self.events.tests).first_seen
        return max(self.began, min(self.until, moment))

    # What it is made of.

    @property
    def _server(self) -> RecordedServer | None:
        servers = [server for one in self.recordings for server in one.servers]
        return servers[-1] if servers else None

    def _sample(self, direction: int, moment: datetime) -> datetime | None:
        """The sample after (1) or before (-1) a moment."""
        if direction > 0:
            return min(filter(None, (one.after(moment) for one in self.recordings)), default=None)
        return max(filter(None, (one.before(moment) for one in self.recordings)), default=None)

    def _shown_at(self, moment: datetime) -> datetime:
        """When the sample was made that is shown at a moment."""
        following = self._sample(1, moment)
        last = self._sample(-1, following) if following else max(one.until for one in self.recordings)
        return last or moment

    def _first_sample(self, moment: datetime, pid: int) -> datetime:
        """The first sample from a moment on that shows the process waiting; without any, the first sample."""
        first = sample = self._at_or_after(moment)
        for _ in range(_POLLS_UNTIL_SHOWN):
            if sample is None:
                break
            snapshot = self.picture(sample).snapshot
            if snapshot and any(group.waiter.pid == pid for group in snapshot.shown_groups):
                return sample
            sample = self._sample(1, sample)
        return first or self.until

    def _at_or_after(self, moment: datetime) -> datetime | None:
        return moment if self._shown_at(moment) == moment else self._sample(1, moment)

    def _read_events(self, outline: bool) -> ReplayEvents:
        reports = merge(recorded_run(one, not outline) for one in self.recordings).servers
        waits = [wait for one in reports for wait in one.waits]
        tests = [test for one in reports for test in one.tests]
        if self._known is not None:
            waits = [named_wait(wait, self._known) for wait in waits]
            tests = [named_sighting(test, self._known) for test in tests]
        deadlocks = sorted((one for report in reports for one in report.deadlocks), key=lambda one: one.at)
        runs = {id(run): run for report in reports for run in report.runs}
        marks = sorted((mark for run in runs.values() for mark in run.marks), key=lambda mark: mark.at)
        return ReplayEvents(
            self.began,
            self.until,
            tuple(sorted(waits, key=lambda wait: wait.began)),
            tuple(deadlocks),
            tuple(sorted(tests, key=lambda test: test.first_seen)),
            tuple(marks),
            # A recording of two servers, one after the other, watched through both.
            min((report.gaps for report in reports), key=len, default=()),
        )


@contextmanager
def opened(paths: Sequence[Path], known: KnownTests | None = None) -> Iterator[ReplaySource]:
    """The source of these files; `known` has whole ids of tests.

    Raises RecordingError; ConfigurationError if they are of several servers.
    """
    with ExitStack() as stack:
        recordings = [stack.enter_context(Recording.open(path)) for path in paths]
        for recording in recordings:
            if not recording.polls:
                raise RecordingError(
                    f"the recording {recording.path} has no samples: no server answered while it was made"
                )
        if len(recordings) > 1:
            _check_one_server(recordings)
        yield ReplaySource(recordings, known)


def recorded_run(recording: Recording, events: bool = True) -> RecordedRun:
    """A recording as what is merged; without `events`, only its marks."""
    return RecordedRun(
        str(recording.path),
        servers=recording.servers,
        began=recording.began,
        until=recording.until,
        is_whole=recording.is_whole,
        polls=recording.polls,
        watched_s=recording.watched_s,
        unwatched_s=recording.unwatched_s,
        waits=recording.waits() if events else (),
        deadlocks=recording.deadlocks() if events else (),
        tests=recording.tests() if events else (),
        marks=recording.marks(),
    )


def _check_one_server(recordings: Sequence[Recording]) -> None:
    reports = merge(recorded_run(one, events=False) for one in recordings).servers
    if len(reports) > 1 and not any(len(one.runs) == len(recordings) for one in reports):
        raise ConfigurationError(f"{_servers(reports)}: replay the recordings of one server")


def _servers(reports: Sequence[ServerReport]) -> str:
    parts = []
    for report in reports[:3]:
        names = " and ".join(plain(Path(run.name).name, 60) for run in report.runs[:3])
        more = f" and {len(report.runs) - 3} more" if len(report.runs) > 3 else ""
        address = plain(report.servers[-1].address, 60) if report.servers else "no server"
        parts.append(f"{names}{more} {'are' if len(report.runs) > 1 else 'is'} of {address}")
    return "these recordings are of different servers: " + ", ".join(parts)


def _has_outlived_its_run(recording: Recording) -> bool:
    """Whether its recorder was left alone in the middle of a suite, and ended by itself."""
    kinds = {mark.kind for mark in recording.marks()}
    return recording.is_whole and "command_began" in kinds and not kinds & {"command_ended", "signal"}
