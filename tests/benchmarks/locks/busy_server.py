"""What watching costs a busy server: pgbench's throughput alone, with our poller, with our dashboard.

All on one machine, so a watcher's own CPU counts as well. The pace is the default one.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tests.benchmarks import programs
from tests.benchmarks.locks.crowd import server
from tests.benchmarks.locks.endless_polls import POLLED
from tests.benchmarks.measure import interleave, table, verdict
from tests.benchmarks.terminal import TerminalProgram

ALONE = "nobody watches"
POLLER = "our poller"
DASHBOARD = "our dashboard"
_COUNTED = r"\d+\+? leaked"
"""The dashboard's first count of leaks, over pgbench's million rows, is done: it belongs to the start."""
_BUDGET = 0.01
_TPS = re.compile(r"^tps = ([0-9.]+) ", re.MULTILINE)


def main() -> None:
    """Prints transactions a second and paired ratios."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.locks.busy_server", description=__doc__)
    parser.add_argument("--pgbench", help="the program (default: the one on PATH)")
    parser.add_argument("--clients", type=int, default=8, help="of pgbench (default: %(default)s)")
    parser.add_argument("--scale", type=int, default=10, help="of pgbench (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="runs of each (default: %(default)s)")
    arguments = parser.parse_args()
    pgbench = arguments.pgbench or shutil.which("pgbench")
    if pgbench is None:
        parser.error("no pgbench on PATH; name it with --pgbench")
    with server(arguments.clients + 50) as started:
        dsn = started.dsn()
        _run([pgbench, "--initialize", "--quiet", f"--scale={arguments.scale}", dsn])
        threads = min(arguments.clients, os.cpu_count() or 1)
        measure = [pgbench, "--no-vacuum", f"--client={arguments.clients}", f"--jobs={threads}"]
        measure += [f"--time={arguments.seconds}", dsn]
        watchers: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
            ALONE: nullcontext,
            POLLER: lambda: _watching(
                [sys.executable, "-m", "tests.benchmarks.locks.endless_polls", dsn], POLLED
            ),
            DASHBOARD: lambda: _watching(programs.ours("dashboard", "--dsn", dsn), _COUNTED),
        }
        samples = interleave(
            {name: _throughput(measure, watcher) for name, watcher in watchers.items()}, arguments.rounds
        )
    print(f"{arguments.clients} clients, scale {arguments.scale}, {arguments.seconds} s a run")
    print(table(samples, "tps", ALONE))
    for case in (POLLER, DASHBOARD):
        print(verdict(f"loss with {case}", 1 - samples.ratio(case, ALONE).median, _BUDGET))


def _throughput(
    command: Sequence[str | Path], watcher: Callable[[], AbstractContextManager[object]]
) -> Callable[[], float]:
    def measure() -> float:
        with watcher():
            found = _TPS.search(_run(command))
        if found is None:
            raise ValueError("pgbench didn't say how many transactions a second it did")
        return float(found[1])

    return measure


@contextmanager
def _watching(command: Sequence[str], first_data: str) -> Iterator[None]:
    with TerminalProgram(command, programs.environment()) as program:
        program.wait_for(first_data.encode())
        yield


def _run(command: Sequence[str | Path]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=programs.environment())
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
