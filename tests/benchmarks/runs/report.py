"""How long a report takes on an hour of 50 busy sessions, polled every 0.25 s: at most 2 s in any format.

    python -m tests.benchmarks.runs.report

The recording is made first, without a server, from polls of a suite whose sessions wait for one another
nearly once a second.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

from pgwatch_tests.record.model import RecordingHeader
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.recording.writer import RecordingWriter
from tests.benchmarks.measure import interleave
from tests.benchmarks.runs.busy_polls import BEGAN, Busy, BusySuite

SECONDS = 3600.0
AT_MOST_S = 2.0
ROUNDS = 5
WAITS_PER_S = 0.8


def main() -> None:
    """Prints the times of each format, in a process of its own, imports and all."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "hour.pgwatch"
        began_s = time.monotonic()
        make(path)
        size = path.stat().st_size / 2**20
        took_s = time.monotonic() - began_s
        with Recording.open(path) as recording:
            waits = len(recording.waits())
        print(f"an hour of 50 sessions, {waits:,} waits: {size:.1f} MiB, made in {took_s:.0f} s")

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


def make(path: Path, seconds: float = SECONDS) -> None:
    """Writes the recording."""
    now_s = 0.0
    with RecordingWriter(path, RecordingHeader(began=BEGAN), clock=lambda: now_s) as writer:
        for poll in BusySuite(Busy(waits_per_s=WAITS_PER_S)).polls(seconds):
            now_s = (poll.sampled_at - BEGAN).total_seconds()
            writer.add(poll, poll.sampled_at.timestamp())


if __name__ == "__main__":
    main()
