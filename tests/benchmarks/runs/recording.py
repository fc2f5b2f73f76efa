"""What a recording costs: `python -m tests.benchmarks.runs.recording`.

Size per hour of a busy suite's generated polls, at 0.25 s; processor time of a recorder's process beside
sessions at work on a real server, as a share of one core, and beside the sampler's; how long a recording of
100 MB takes to open and to show one of its moments, beside SQLite alone. Ends with 1 if a budget isn't met.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import func, insert, select

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.pytest_plugin.blocking.sampler_process import SamplerFiles, SamplerProcess
from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recorder_messages import Polled, Report
from pgwatch_tests.record.recorder_process import RecorderProcess
from pgwatch_tests.record.recording import layout
from pgwatch_tests.record.recording.columns import pack, unpack
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.benchmarks.measure import interleave, verdict
from tests.benchmarks.runs.busy_polls import BEGAN, Busy, BusySuite
from tests.servers.server_places import server_directory

MB_PER_HOUR = 5.0
PERCENT_OF_CORE = 1.0
OPEN_S = 1.0
AT_S = 0.1
LARGE_MB = 100.0
_LARGE_S = 300.0


def size_per_hour(directory: Path, busy: Busy, seconds: float) -> tuple[float, float]:
    """Megabytes an hour, and the processor milliseconds that the writer takes per poll."""
    path = directory / f"{busy.statement_s:g}.pgwatch"
    now_s = spent_s = 0.0
    polls = 0
    writer = RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: now_s)
    for snapshot in BusySuite(busy).polls(seconds):
        now_s = (snapshot.sampled_at - BEGAN).total_seconds()
        began_s = time.process_time()
        writer.add(snapshot, snapshot.sampled_at.timestamp())
        spent_s += time.process_time() - began_s
        polls += 1
    writer.close()
    return path.stat().st_size / 1e6 / (seconds / 3600), 1000 * spent_s / polls


def cpu(directory: Path, sessions: int, seconds: float, tell: Callable[[str, float, float], None]) -> None:
    """The share of a core that a recorder takes beside so many sessions at work, beside the sampler's."""
    polls: list[datetime] = []

    def note(report: Report) -> None:
        if isinstance(report, Polled):
            polls.append(report.at)

    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(find_programs(), server_directory()))
        # In a process of its own: threads of this one would be late.
        work = stack.enter_context(
            subprocess.Popen([sys.executable, "-m", __spec__.name, "--work", server.dsn(), str(sessions)])
        )
        stack.callback(work.kill)
        path = directory / "live.pgwatch"
        process = RecorderProcess(path, RecordingHeader(datetime.now(UTC)), on_report=note)
        stack.callback(process.stop)
        process.watch(server.dsn(), "the benchmark")
        sampler = SamplerProcess(SamplerFiles.of(directory, "s"))
        stack.callback(sampler.stop)
        sampler.watch(server.dsn(), "the benchmark", [])
        while not polls or polls[-1] - polls[0] < timedelta(seconds=5):
            threading.Event().wait(0.1)
        assert process.pid is not None
        assert sampler.pid is not None
        processes = [psutil.Process(process.pid), psutil.Process(sampler.pid)]
        with Recording.open(path) as recording:
            known = recording.polls
        before = [sum(one.cpu_times()[:2]) for one in processes]
        threading.Event().wait(seconds)
        took = [sum(one.cpu_times()[:2]) - was for one, was in zip(processes, before, strict=True)]
        with Recording.open(path) as recording:
            pace = (recording.polls - known) / seconds
    print(
        f"beside {sessions} sessions at work: {pace:.1f} polls a second, "
        f"{1000 * took[0] / seconds / pace:.1f} ms per poll; {took[0] / took[1]:.2g}x the sampler's "
        "processor time"
    )
    tell("% of a core", 100 * took[0] / seconds, PERCENT_OF_CORE)


def work(dsn: str, sessions: int) -> None:
    """So many sessions, each with four short statements a second, until it is killed."""
    with ExitStack() as stack:
        threads = []
        for number in range(sessions):
            name = f"pytest:gw{number % 8} a.py::test_{number}"
            connection = stack.enter_context(psycopg.connect(dsn, autocommit=True, application_name=name))
            threads.append(threading.Thread(target=_work, args=[connection, number]))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _work(connection: psycopg.Connection[tuple[object, ...]], seed: int) -> None:
    draw = random.Random(seed)
    while True:
        threading.Event().wait(draw.expovariate(4))
        connection.execute(f"SELECT {draw.randrange(20)}, now()".encode())


def reading(directory: Path, tell: Callable[[str, float, float], None]) -> None:
    """How long a large recording takes to open, and to show moments all over it, beside SQLite's part."""
    path = large_recording(directory)
    with Recording.open(path) as recording:
        began, seconds = recording.began, (recording.until - recording.began).total_seconds()
    draw = random.Random(3)

    def opened() -> float:
        started_s = time.perf_counter()
        with Recording.open(path) as recording:
            assert recording.polls
            assert recording.until > recording.began
        return time.perf_counter() - started_s

    def shown() -> float:
        with Recording.open(path) as recording:
            at = began + timedelta(seconds=draw.uniform(0, seconds))
            started_s = time.process_time()
            assert recording.at(at)
            return time.process_time() - started_s

    def sqlite_alone() -> float:
        connection = sqlite3.connect(path)
        at_us = draw.uniform(0, seconds) * 1e6 + began.timestamp() * 1e6
        started_s = time.process_time()
        query = (
            "SELECT body FROM parts WHERE segment = "
            "(SELECT number FROM segments WHERE began_us <= ? ORDER BY began_us DESC LIMIT 1)"
        )
        assert connection.execute(query, (at_us,)).fetchall()
        took_s = time.process_time() - started_s
        connection.close()
        return took_s

    samples = interleave({"open": opened, "moment": shown, "SQLite": sqlite_alone}, rounds=20)
    print(f"{path.stat().st_size / 1e6:.0f} MB, {seconds / 3600:.0f} h; a moment takes ", end="")
    print(f"{samples.ratio('moment', 'SQLite')} what SQLite alone takes to read its minute")
    tell("s to open", samples.median("open"), OPEN_S)
    tell("s of processor time to show a moment", samples.median("moment"), AT_S)


def large_recording(directory: Path) -> Path:
    """A recording of LARGE_MB: some minutes of a busy suite, again and again."""
    path = directory / "large.pgwatch"
    now_s = 0.0
    with RecordingWriter(path, RecordingHeader(BEGAN), clock=lambda: now_s) as writer:
        for snapshot in BusySuite(Busy()).polls(_LARGE_S):
            now_s = (snapshot.sampled_at - BEGAN).total_seconds()
            writer.add(snapshot, snapshot.sampled_at.timestamp())
    engine = layout._engine(f"file:{path}?mode=rw")
    with engine.begin() as connection:
        payload = sum(
            connection.execute(select(func.sum(func.length(column)))).scalar_one()
            for column in (layout.parts.c.body, layout.waits.c.detail)
        )
        copies = 1 + int(LARGE_MB * 1e6 / payload)
        segments = connection.execute(select(layout.segments)).all()
        for copy, segment in itertools.product(range(1, copies), segments):
            later_us = int(copy * _LARGE_S * 1e6)
            number = segment.number + copy * len(segments)
            row = {**segment._mapping, "number": number}
            row |= {name: row[name] + later_us for name in ("began_us", "until_us")}
            connection.execute(insert(layout.segments), row)
            for part in layout.read_parts(connection, segment.number):
                times, _ = unpack(part.times)
                moved = replace(part, times=pack([times[0] + later_us, *times[1:]]))
                connection.execute(insert(layout.parts), layout.part_row(number, moved))
        waits = connection.execute(select(layout.waits)).all()
        for copy, wait in itertools.product(range(1, copies), waits):
            number = wait.number + copy * 1_000_000
            connection.execute(insert(layout.waits), {**wait._mapping, "number": number})
    engine.dispose()
    return path


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.runs.recording", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of generated polls (default: %(default)g)"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="beside a server (default: %(default)g)")
    parser.add_argument("--work", nargs=2, metavar=("DSN", "SESSIONS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work[0], int(options.work[1]))
    is_met = []

    def tell(what: str, figure: float, budget: float) -> None:
        print(verdict(what, figure, budget))
        is_met.append(figure <= budget)

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for statement_s, is_budget in ((0.25, True), (0.06, False)):
            busy = Busy(statement_s=statement_s)
            per_hour, ms = size_per_hour(directory, busy, 60 * options.minutes)
            print(
                f"{busy.sessions} sessions, {1 / statement_s:.0f} statements a second each, 4 polls: "
                f"{per_hour:.1f} MB an hour, {ms:.2f} ms of the writer per poll"
            )
            if is_budget:
                tell("MB an hour", per_hour, MB_PER_HOUR)
        cpu(directory, 50, options.seconds, tell)
        reading(directory, tell)
    return 0 if all(is_met) else 1


if __name__ == "__main__":
    sys.exit(main())
