"""Time that recordings watched, and the gaps in it: the same for reports, gates and last words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_tests.record.model import Mark, RecordedServer

_SEEN_LATE_AFTER_S = 10.0
"""As within a recording: polls come more often than this."""
_NOBODY_THERE = ("refused", "No such file or directory")
"""What connect(2) says where no server listens: there, nobody waits."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time from `since` to `until`."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True, slots=True)
class Polls:
    """The polls of one recording: when the first and the last were, and its marks and servers."""

    began: datetime
    until: datetime
    marks: Sequence[Mark]
    servers: Sequence[RecordedServer]

    def watched(self) -> Iterator[Span]:
        """Yields the times from first to last poll in which the server answered."""
        since: datetime | None = self.began
        for mark in sorted(self.marks, key=lambda one: one.at):
            if mark.kind == "server_lost" and since is not None and since <= mark.at:
                yield Span(since, min(mark.at, self.until))
                since = None
            elif mark.kind == "server_back" and since is None:
                since = mark.at
        if since is not None and since <= self.until:
            yield Span(since, self.until)

    @property
    def missed_before_s(self) -> float:
        """Seconds from the command's beginning, or the server's if that was later, to the first poll."""
        if not self.servers:
            return 0.0
        server = self.servers[0]
        began = next((mark.at for mark in self.marks if mark.kind == "command_began"), self.began)
        # Before the first poll, a mark has this machine's time.
        began = max(began, began + timedelta(seconds=server.clock_ahead_s or 0.0))
        late_s = (self.began - max(began, server.started_at or began)).total_seconds()
        return late_s if late_s > _SEEN_LATE_AFTER_S else 0.0

    @property
    def missed_after(self) -> tuple[float, str]:
        """Seconds from the last poll to the command's end, if the server didn't answer by then, and why."""
        ends = [mark.at for mark in self.marks if mark.kind == "command_ended"]
        ended = ends[-1] if ends else self.until
        early_s = (ended - self.until).total_seconds()
        news = [
            mark for mark in self.marks if mark.kind in ("server_lost", "server_back") and mark.at <= ended
        ]
        if early_s > 0 and news and news[-1].kind == "server_lost":
            return early_s, news[-1].text
        return (early_s, "the recorder stood still") if early_s > _SEEN_LATE_AFTER_S else (0.0, "")

    def missed(self) -> Iterator[Span]:
        """Yields what polls missed of the command at both ends, where somebody may have waited."""
        if before_s := self.missed_before_s:
            yield Span(self.began - timedelta(seconds=before_s), self.began)
        after_s, why = self.missed_after
        if after_s and not any(said in why for said in _NOBODY_THERE):
            yield Span(self.until, self.until + timedelta(seconds=after_s))


def unwatched(recordings: Iterable[Polls]) -> tuple[Span | None, tuple[Span, ...], float]:
    """Returns the time to watch, the gaps in which no recording watched, and the seconds that one did."""
    each = tuple(recordings)
    watched = _united(span for polls in each for span in polls.watched())
    if not watched:
        return None, (), 0.0
    ends = [*watched, *(span for polls in each for span in polls.missed())]
    whole = Span(min(span.since for span in ends), max(span.until for span in ends))
    edges = [whole.since, *(moment for span in watched for moment in (span.since, span.until)), whole.until]
    gaps = (Span(since, until) for since, until in zip(edges[::2], edges[1::2], strict=True))
    return whole, tuple(gap for gap in gaps if gap.since < gap.until), sum(one.seconds for one in watched)


def unwatched_s(recordings: Iterable[Polls]) -> float:
    """Returns the seconds of all gaps."""
    return sum(gap.seconds for gap in unwatched(recordings)[1])


def _united(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that don't touch, in order."""
    united: list[Span] = []
    for span in sorted(spans, key=lambda one: one.since):
        if united and span.since <= united[-1].until:
            united[-1] = Span(united[-1].since, max(united[-1].until, span.until))
        else:
            united.append(span)
    return united
