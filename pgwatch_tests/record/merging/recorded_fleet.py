"""Recordings of a fleet: totals per server of a list, and which servers left none. Pure.

A recording of `record --servers` has the server's name; others are known by the address that they went to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from pgwatch_tests.fleet.parts import missing, shard_named
from pgwatch_tests.fleet.shards import Shard, shard_of
from pgwatch_tests.record import sums
from pgwatch_tests.record.merging.merged import RecordedRun, merge
from pgwatch_tests.record.run_summary import PairSum

MOST_PAIRS = 50
"""Pairs of tests that are kept of a server, those with most blocked time."""
NO_RECORDING = "left no recording"
_WHERE = re.compile(r"^cannot connect \(.*?\): ")


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A server of the list."""

    name: str
    address: str
    """As `RecordedServer.address`."""
    database: str | None = None
    """That of its connection string; None if it names none."""


@dataclass(frozen=True, slots=True)
class RecordedTotals:
    """The totals of one server, over all recordings of it that polled it. Durations are seconds."""

    name: str
    version: str
    recordings: int
    cut_off: int
    """How many of these are of suites that didn't come to their own end."""
    watched_s: float
    unwatched_s: float
    blocked_s: float
    waits: int
    longest_s: float
    deadlocks: int
    hangs: int
    leaked_rows: int
    leftovers: int
    leaks_checked: bool
    """Whether all of them ended with a check for leaks."""
    pairs: tuple[PairSum, ...]

    @property
    def has_findings(self) -> bool:
        """Whether there is something to tell of it besides that it was watched."""
        return any((self.cut_off, self.waits, self.deadlocks, self.hangs, self.leaked_rows, self.leftovers))


@dataclass(frozen=True, slots=True)
class NotRecorded:
    """A server of the list, or a part of it, of which nothing was recorded, and why."""

    server: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedFleet:
    """What was recorded of the servers of a list, in its order."""

    asked: tuple[str, ...]
    servers: tuple[RecordedTotals, ...]
    not_recorded: tuple[NotRecorded, ...]
    not_checked: tuple[str, ...]
    """Sentences: what else couldn't be read, recorded or checked; with the server where it is known."""
    until: datetime | None
    """The last poll of any server; None if there was none."""
    shard: str = ""
    """`2/4`: it is of a part of the list only."""


def of_list(
    runs: Sequence[RecordedRun], listed: Sequence[ListedServer]
) -> tuple[dict[str, list[RecordedRun]], list[RecordedRun]]:
    """Returns the recordings of each server of the list, by its name and in its order, and all others."""
    by_server: dict[str, list[RecordedRun]] = {one.name: [] for one in listed}
    others = []
    for run in runs:
        name = run.fleet_server or _name_by_address(run, listed)
        by_server[name].append(run) if name in by_server else others.append(run)
    return by_server, others


def _name_by_address(run: RecordedRun, listed: Sequence[ListedServer]) -> str:
    for server in reversed(run.servers):
        there = [one for one in listed if one.address == server.address]
        for one in [*(one for one in there if one.database == server.database), *there]:
            return one.name
    return ""


def recorded_fleet(
    by_server: dict[str, list[RecordedRun]], unread: Iterable[str] = (), shard: Shard | None = None
) -> RecordedFleet:
    """Returns the totals of each server of the list; `shard`: the list is this part of a longer one."""
    parts = {run.fleet_part for runs in by_server.values() for run in runs if run.fleet_part}
    totals, absent, not_checked = [], [], [*unread]
    for name, runs in by_server.items():
        if any(run.polls for run in runs):
            totals.append(_totals(name, runs))
        else:
            absent.append(NotRecorded(name, _reason(name, runs, parts)))
        not_checked += dict.fromkeys(f"{name}: {line}" for run in runs for line in run.not_checked)
    ends = [run.until for runs in by_server.values() for run in runs if run.until is not None]
    return RecordedFleet(
        tuple(by_server),
        tuple(totals),
        tuple(absent),
        tuple(not_checked),
        max(ends, default=None),
        str(shard or ""),
    )


def _reason(name: str, runs: Sequence[RecordedRun], parts: set[str]) -> str:
    """Why nothing was recorded of a server."""
    lost = [mark.text for run in runs for mark in run.marks if mark.kind == "server_lost" and mark.text]
    if runs:
        return _WHERE.sub("cannot connect: ", lost[-1]) if lost else "its recording has no poll"
    divisions = {shard_named(part).of for part in parts}
    if len(divisions) == 1:
        (of,) = divisions
        part = Shard(shard_of(name, of), of)
        if str(part) not in parts:
            return f"part {part} {NO_RECORDING}"
    return NO_RECORDING


def _totals(name: str, runs: Sequence[RecordedRun]) -> RecordedTotals:
    report = merge(runs)
    waits = [wait for server in report.servers for wait in server.waits]
    leaks = [leak for server in report.servers for leak in server.leaks]
    versions = [server.servers[-1].version for server in report.servers if server.servers]
    return RecordedTotals(
        name=name,
        version=versions[-1] if versions else "",
        recordings=len(report.runs),
        cut_off=sum(run.was_cut_off for run in report.runs),
        watched_s=sum(server.watched_s for server in report.servers),
        unwatched_s=sum(server.unwatched_s for server in report.servers),
        blocked_s=sum(server.blocked_s for server in report.servers),
        waits=len(waits),
        longest_s=max((wait.waited_s for wait in waits), default=0.0),
        deadlocks=sum(len(server.deadlocks) for server in report.servers),
        hangs=sum(len(server.hangs) for server in report.servers),
        leaked_rows=sum(leak.rows for leak in leaks if leak.kind == "rows"),
        leftovers=sum(leak.kind != "rows" for leak in leaks),
        leaks_checked=all(run.leaks_checked for run in report.runs),
        pairs=sums.pairs(waits)[:MOST_PAIRS],
    )


def put_together(parts: Sequence[RecordedFleet], servers: Sequence[str] = ()) -> RecordedFleet:
    """Returns the fleet that the parts are of: each part once, the latest of each.

    `servers` are all of the list, if that is known: then what is missing is named by these. Raises
    ConfigurationError if the parts aren't of one division.
    """
    shards = {shard_named(part.shard): part for part in parts}
    lost = missing({shard: part.asked for shard, part in shards.items()}, servers)
    reported = [part for _, part in sorted(shards.items(), key=lambda item: item[0].number)]
    asked = dict.fromkeys(chain(servers, *(part.asked for part in reported), (name for name, _ in lost)))
    place = {name: number for number, name in enumerate(asked)}
    absent = [*chain.from_iterable(part.not_recorded for part in reported)]
    absent += (NotRecorded(name, reason) for name, reason in lost)
    totals = chain.from_iterable(part.servers for part in reported)
    ends = [part.until for part in reported if part.until is not None]
    return replace(
        reported[0],
        asked=tuple(asked),
        servers=tuple(sorted(totals, key=lambda one: place[one.name])),
        not_recorded=tuple(sorted(absent, key=lambda one: place[one.server])),
        not_checked=tuple(chain.from_iterable(part.not_checked for part in reported)),
        until=max(ends, default=None),
        shard="",
    )
