"""How long a report takes on an hour of 50 busy sessions, polled every 0.25 s: at most 2 s in any format.

    python -m tests.benchmarks.report

The recording is made first, without a server, from polls of a suite whose tests take about 2 s each and of
which one in a hundred waits for another, most for less than a second.
"""

from __future__ import annotations

import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import (
    EdgeGroup,
    LockSnapshot,
    LockTag,
    Party,
    Session,
    Subject,
    Wait,
    WaitedLock,
)
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.benchmarks.measure import interleave

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECONDS, EVERY_S, SESSIONS = 3600, 0.25, 50
AT_MOST_S = 2.0
ROUNDS = 5
TESTS = 1200
WAITS_PER_S = 0.8


@dataclass(frozen=True, slots=True)
class _Blocked:
    waiter: int
    blocker: int
    row: int
    began_s: float
    ended_s: float


def main() -> None:
    """Prints the times of each format, in a process of its own, imports and all."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "hour.pgwatch"
        began_s = time.monotonic()
        number = make(path)
        size = path.stat().st_size / 2**20
        took_s = time.monotonic() - began_s
        print(f"an hour, {SESSIONS} sessions, {number:,} waits: {size:.1f} MiB, made in {took_s:.0f} s")

        walls: defaultdict[str, list[float]] = defaultdict(list)

        def report(form: str) -> float:
            """Seconds of processor time: what else the machine does isn't the report's."""
            out = Path(name) / f"report.{form}"
            command = [sys.executable, "-m", "pgwatch_tests", "report", str(path), "--format", form]
            before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            subprocess.run([*command, "-o", str(out)], check=True)
            walls[form].append(time.monotonic() - began_s)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        forms = ("table", "markdown", "json", "html")
        samples = interleave({form: partial(report, form) for form in forms}, ROUNDS)
        for form in forms:
            kib = (Path(name) / f"report.{form}").stat().st_size / 1024
            wall_s = statistics.median(walls[form])
            print(f"{form:9} {samples.median(form):.2f} s of a core, {wall_s:.2f} s in all, {kib:,.0f} KiB")
        slowest_s = max(map(samples.median, forms))
        print("within" if slowest_s <= AT_MOST_S else "ABOVE", f"the budget of {AT_MOST_S:g} s of a core")


def make(path: Path) -> int:
    """Writes the recording; returns how many waits its script has."""
    waits = _waits(random.Random(1))
    now_s = 0.0
    writer = RecordingWriter(path, RecordingHeader(began=BEGAN), clock=lambda: now_s)
    previous: LockSnapshot | None = None
    for snapshot in _polls(waits):
        previous = settle(previous, snapshot)
        now_s = (snapshot.sampled_at - BEGAN).total_seconds()
        writer.add(previous, snapshot.sampled_at.timestamp())
    writer.close()
    return len(waits)


def _waits(chance: random.Random) -> list[_Blocked]:
    free_s = [0.0] * SESSIONS
    waits = []
    for number in range(int(SECONDS * WAITS_PER_S)):
        began_s = number / WAITS_PER_S
        waiter, blocker = chance.sample(range(SESSIONS), 2)
        if free_s[waiter] > began_s or free_s[blocker] > began_s:
            continue
        ended_s = began_s + min(20.0, chance.expovariate(1.2))
        free_s[waiter] = free_s[blocker] = ended_s + 0.5
        waits.append(_Blocked(waiter, blocker, number % 97, began_s, ended_s))
    return waits


def _polls(waits: list[_Blocked]) -> Iterator[LockSnapshot]:
    pending, present = iter(waits), list[_Blocked]()
    following = next(pending, None)
    for poll in range(int(SECONDS / EVERY_S)):
        at_s = poll * EVERY_S
        while following is not None and following.began_s <= at_s:
            present.append(following)
            following = next(pending, None)
        present = [one for one in present if one.ended_s > at_s]
        by_waiter = {one.waiter: one for one in present}
        yield LockSnapshot(
            BEGAN + timedelta(seconds=at_s),
            "18.1",
            "test_app",
            "localhost:5432",
            tuple(_session(number, at_s, by_waiter.get(number)) for number in range(SESSIONS)),
            (),
            tuple(_group(one, at_s) for one in present),
            server_started=BEGAN - timedelta(hours=1),
            system_identifier="7412345678901234567",
        )


def _session(number: int, at_s: float, waits: _Blocked | None) -> Session:
    turn = int((at_s + number / SESSIONS * 2) / 2)
    test = (
        f"tests/test_{(turn * 7 + number) % 40}.py::test_does_something_{(turn * SESSIONS + number) % TESTS}"
    )
    since_s = waits.began_s if waits else at_s - at_s % 0.5
    session = Session(
        pid=1000 + number,
        backend_start=BEGAN - timedelta(seconds=number),
        backend_type="client backend",
        database_oid=16384,
        user_oid=10,
        database="test_app",
        user="app",
        application_name=compose("pytest", f"gw{number}", test),
        client="local",
        state="active" if waits or number % 3 else "idle in transaction",
        xact_age_s=at_s - since_s,
        state_age_s=at_s - since_s,
        query_age_s=at_s - since_s,
        query=f"UPDATE bookings SET state = 'paid', note = $2 WHERE id = $1 /* {turn % 20} */",  # noqa: S608
    )
    return replace(session, wait_event_type="Lock", wait_event="transactionid") if waits else session


def _group(one: _Blocked, at_s: float) -> EdgeGroup:
    tag = LockTag("transactionid", transactionid=1000 + one.blocker)
    target = f"row of bookings (id={one.row})"
    return EdgeGroup(
        Party(1000 + one.waiter),
        (Party(1000 + one.blocker),),
        "hard",
        WaitedLock("transactionid", "ShareLock", "ExclusiveLock", target, "row of bookings"),
        Wait(1000 + one.waiter, f"3/{one.waiter}", tag, "ShareLock", BEGAN + timedelta(seconds=one.began_s)),
        at_s - one.began_s,
        Subject("row", 16384, (16400,), 0, one.row, transaction=1000 + one.blocker),
    )


if __name__ == "__main__":
    main()
