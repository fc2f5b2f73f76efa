"""Report on runs: recordings of one server put together by its clock, other servers apart. Pure.

A server is known by its system identifier and by when it was started, to the microsecond. A recording that
saw it start again links both starts. Machines' clocks decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Literal

from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.record.merging import duplicates, leak_checks
from pgwatch_tests.record.merging.duplicates import Observed
from pgwatch_tests.record.merging.watched import Polls, Span, unwatched
from pgwatch_tests.record.model import (
    DeadlockEvent,
    LeakEvent,
    Mark,
    RecordedServer,
    RecordedSide,
    TestSighting,
    WaitEvent,
)
from pgwatch_tests.record.plugin_findings import PluginFinding, besides
from pgwatch_tests.record.run_summary import Hang, RunFacts, TestOutcome

Ending = Literal["ended", "killed", "running"]
"""`killed`: whoever ran or recorded it ended before it could say so; the command itself may have gone on."""


@dataclass(frozen=True, slots=True)
class LastSession:
    """A session as the last poll of a recording saw it."""

    side: RecordedSide
    waits_for: str = ""
    """What it waited for; empty if it didn't wait."""
    wait_s: float | None = None
    blockers: tuple[str, ...] = ()
    """`RecordedSide.who` of whom it waited for."""


@dataclass(frozen=True, slots=True)
class LastPicture:
    """What the last poll saw: sessions of tests and those that waited or blocked come first."""

    at: datetime
    sessions: tuple[LastSession, ...]
    more_sessions: int = 0


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """All that was read of one recording, or of one results directory. Times are the server's."""

    name: str
    """Its path, as it was given or found."""
    facts: RunFacts | None = None
    """None where a recorder ran alone."""
    servers: tuple[RecordedServer, ...] = ()
    began: datetime | None = None
    until: datetime | None = None
    """First and last poll; None if there was none."""
    ending: Ending = "ended"
    is_whole: bool = True
    """Whether the recording was ended by its recorder."""
    polls: int = 0
    watched_s: float = 0.0
    unwatched_s: float = 0.0
    waits: tuple[WaitEvent, ...] = ()
    deadlocks: tuple[DeadlockEvent, ...] = ()
    tests: tuple[TestSighting, ...] = ()
    marks: tuple[Mark, ...] = ()
    leaks: tuple[LeakEvent, ...] = ()
    leaks_checked: bool = False
    """Whether there was a check for leaks."""
    hangs: tuple[Hang, ...] = ()
    leak_report: LeakReport | None = None
    """The check after the suite, whole; `leaks` are what it found."""
    outcomes: tuple[TestOutcome, ...] = ()
    """Of its JUnit files, where somebody has read these."""
    plugin_findings: tuple[PluginFinding, ...] = ()
    """What the pytest plugin found, where it was on."""
    not_checked: tuple[str, ...] = ()
    last: LastPicture | None = None
    """Read where the run didn't end by itself."""
    fleet_server: str = ""
    """`RecordingHeader.server`."""
    fleet_part: str = ""
    """`RecordingHeader.part`."""

    @property
    def was_cut_off(self) -> bool:
        """Whether the suite didn't come to its own end, as far as it is known."""
        return self.ending != "ended" or (self.facts is not None and self.facts.signal is not None)

    @property
    def label(self) -> str:
        """Its shard, else its path."""
        return self.facts.shard if self.facts is not None and self.facts.shard else self.name


@dataclass(frozen=True, slots=True)
class ServerReport:
    """One server, over all recordings of it. Its events have the numbers of `servers`."""

    servers: tuple[RecordedServer, ...]
    """The server from each start to the next, the first start first, numbered from 1; none if no recording
    reached one."""
    runs: tuple[RecordedRun, ...]
    """The recordings of it, the first first."""
    span: Span | None
    """First to last poll of any of them, and what these missed of commands; None if there was none."""
    gaps: tuple[Span, ...]
    """When none of them watched."""
    watched_s: float
    waits: tuple[WaitEvent, ...]
    deadlocks: tuple[DeadlockEvent, ...]
    tests: tuple[TestSighting, ...]
    leaks: tuple[LeakEvent, ...]

    @property
    def plugin_findings(self) -> tuple[PluginFinding, ...]:
        """What the pytest plugin found, without rows that a check has put down to the same test."""
        return tuple(one for run in self.runs for one in besides(run.plugin_findings, run.leaks))

    @property
    def is_recorded(self) -> bool:
        """Whether there was any poll: else nothing is known of waits."""
        return any(run.polls for run in self.runs)

    @property
    def unwatched_s(self) -> float:
        """Seconds in which nobody watched."""
        return sum(gap.seconds for gap in self.gaps)

    @property
    def blocked_s(self) -> float:
        """Session-seconds of all waits."""
        return sum(wait.waited_s for wait in self.waits)

    @property
    def hangs(self) -> tuple[Hang, ...]:
        """Those that any of its runs told, the first first."""
        return tuple(sorted(chain.from_iterable(run.hangs for run in self.runs), key=lambda one: one.at))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What was asked for and couldn't be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """Any number of runs, one part per server: the one with the worst first."""

    servers: tuple[ServerReport, ...]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def runs(self) -> tuple[RecordedRun, ...]:
        """All that were read, each once, though it may have reached several servers."""
        return tuple({id(run): run for server in self.servers for run in server.runs}.values())


_StartKey = tuple[object, ...]
"""What tells a server, from one of its starts to the next, from all others."""


def merge(runs: Iterable[RecordedRun], unreadable: Iterable[Unreadable] = ()) -> RunReport:
    """The report on these runs. Their order doesn't matter; a run that is given twice counts once."""
    each = _without_copies(runs)
    servers = [_server_report(each, starts) for starts in _by_server(each)]
    servers += [_without_server(run) for run in each if not run.servers]
    return RunReport(tuple(sorted(servers, key=_worst_first)), tuple(unreadable))


def _worst_first(one: ServerReport) -> tuple[float, ...]:
    leaked = sum(leak.rows for leak in one.leaks)
    return -len(one.hangs), -len(one.deadlocks), -one.blocked_s, -leaked, -len(one.runs)


def _without_copies(runs: Iterable[RecordedRun]) -> list[RecordedRun]:
    """Of copies of one recording, the one that goes on longest; in order of their beginnings."""
    kept: dict[object, RecordedRun] = {}
    for run in runs:
        facts = run.facts
        key = run.name if facts is None else (facts.run, facts.shard, facts.began, facts.machine)
        before = kept.get(key)
        if before is None or _length(run) > _length(before):
            kept[key] = run
    return sorted(kept.values(), key=lambda run: (run.began is None, _instant(run.began), run.name))


def _length(run: RecordedRun) -> tuple[bool, float, bool, str]:
    # A results directory knows more than its recording alone. The path decides between whole copies, so
    # that the order of what was given doesn't.
    has_index = run.facts is not None and run.facts.exit_code is not None
    return run.is_whole, _instant(run.until), has_index, run.name


def _instant(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


@dataclass(frozen=True, slots=True)
class _Start:
    """A server's start as one run knows it."""

    run: RecordedRun
    place: int
    """The run's."""
    server: RecordedServer
    key: _StartKey


def _by_server(runs: Sequence[RecordedRun]) -> list[list[_Start]]:
    """The starts of each server, over all runs."""
    starts = [
        _Start(run, place, server, (server.started_at, server.system_identifier))
        if server.started_at is not None
        else _Start(run, place, server, (place, server.number))
        for place, run in enumerate(runs)
        for server in run.servers
    ]
    same_server: dict[_StartKey, set[_StartKey]] = {start.key: {start.key} for start in starts}
    first_of: dict[_StartKey, _StartKey] = {}
    for start in starts:
        server = start.server
        # Whoever may not read the identifier knows the server by its start alone.
        links: list[_StartKey] = [("restarted", start.place, server.system_identifier, server.address)]
        if server.started_at is not None:
            links.append(("started", server.started_at))
        for link in links:
            other = first_of.setdefault(link, start.key)
            together = same_server[other] | same_server[start.key]
            if link[0] == "started" and len({key[1] for key in (other, start.key)} - {None}) > 1:
                continue
            for key in together:
                same_server[key] = together
    groups: dict[int, list[_Start]] = {}
    for start in starts:
        groups.setdefault(id(same_server[start.key]), []).append(start)
    return list(groups.values())


def _server_report(runs: Sequence[RecordedRun], starts: Sequence[_Start]) -> ServerReport:
    numbers = _numbers(starts)
    places = list(dict.fromkeys(start.place for start in starts))
    its_runs = [runs[place] for place in places]
    waits = duplicates.waits(
        (
            Observed(place, number, wait if wait.server == number else replace(wait, server=number))
            for place in places
            for wait in runs[place].waits
            if (number := numbers.get((place, wait.server)))
        ),
        starts[0].server.version,
    )
    deadlocks = duplicates.deadlocks(
        Observed(place, numbers[place, one.server], replace(one, server=numbers[place, one.server]))
        for place in places
        for one in runs[place].deadlocks
        if (place, one.server) in numbers
    )
    span, gaps, watched_s = unwatched(chain.from_iterable(map(_polls, its_runs)))
    return ServerReport(
        servers=_servers(starts, numbers),
        runs=tuple(its_runs),
        span=span,
        gaps=gaps,
        watched_s=watched_s,
        waits=tuple(
            wait if wait.number == number else replace(wait, number=number)
            for number, wait in enumerate(waits, 1)
        ),
        deadlocks=tuple(deadlocks),
        tests=_sightings(
            replace(test, server=numbers[place, test.server])
            for place in places
            for test in runs[place].tests
            if (place, test.server) in numbers
        ),
        # Leaks are what was there after the suite: on the server that the run ended with.
        leaks=leak_checks.together(
            (start.server.database, start.run.leaks)
            for start in starts
            if start.server is start.run.servers[-1]
        ),
    )


def _numbers(starts: Sequence[_Start]) -> dict[tuple[int, int], int]:
    """The number of each start of a server, by run and by its number in there."""
    first: dict[object, tuple[float, int, int]] = {}
    for start in starts:
        moment = start.server.started_at or start.run.began
        first.setdefault(_moment(start), (_instant(moment), start.place, start.server.number))
    ranks = {key: number for number, key in enumerate(sorted(first, key=first.__getitem__), 1)}
    return {(start.place, start.server.number): ranks[_moment(start)] for start in starts}


def _moment(start: _Start) -> object:
    return start.server.started_at or start.key


def _servers(starts: Sequence[_Start], numbers: dict[tuple[int, int], int]) -> tuple[RecordedServer, ...]:
    known: dict[int, RecordedServer] = {}
    for start in starts:
        number = numbers[start.place, start.server.number]
        server = known.setdefault(number, start.server)
        identifier = server.system_identifier or start.server.system_identifier
        known[number] = replace(server, number=number, system_identifier=identifier)
    return tuple(known[number] for number in sorted(known))


def _without_server(run: RecordedRun) -> ServerReport:
    span, _, _ = unwatched(_polls(run))
    leaks = leak_checks.together([("", run.leaks)])
    return ServerReport((), (run,), span, (), 0.0, (), (), (), leaks)


def _polls(run: RecordedRun) -> Iterator[Polls]:
    if run.began is not None and run.until is not None:
        yield Polls(run.began, run.until, run.marks, run.servers)


def _sightings(seen: Iterable[TestSighting]) -> tuple[TestSighting, ...]:
    """Each test once per worker and start of the server, the one seen last first."""
    known: dict[tuple[str, str, str, int], TestSighting] = {}
    for one in seen:
        key = one.test, one.runner, one.worker, one.server
        before = known.get(key)
        known[key] = (
            one
            if before is None
            else replace(
                one,
                first_seen=min(before.first_seen, one.first_seen),
                last_seen=max(before.last_seen, one.last_seen),
                # Recorders that watch at the same time see the same.
                polls=max(before.polls, one.polls),
            )
        )
    by_name = sorted(known.values(), key=lambda one: (one.test, one.worker))
    return tuple(sorted(by_name, key=lambda one: one.last_seen, reverse=True))
