"""What the sampler costs, with waits and without: `python -m tests.benchmarks.runs.sampler`.

A server of its own with idle sessions; the processor time of the sampler's process, as a share of one core.
Ends with 1 if it takes more than 1 % of a core while nothing waits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.locks.watch.wait_history import WaitHistory
from pgwatch_tests.locks.watch.wait_journal import JournalReader
from pgwatch_tests.pytest_plugin.blocking.sampler_process import SamplerFiles, SamplerProcess
from tests.benchmarks.measure import verdict
from tests.servers.server_places import server_directory

BUDGET_PERCENT = 1.0


def percent_of_core(process: psutil.Process, seconds: float) -> float:
    """The processor time that it takes in so many seconds, of 100."""
    before = process.cpu_times()
    threading.Event().wait(seconds)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.runs.sampler", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each case (default: %(default)g)")
    parser.add_argument("--sessions", type=int, default=30, help="default: %(default)s")
    options = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(find_programs(), server_directory()))
        files = SamplerFiles.of(Path(stack.enter_context(tempfile.TemporaryDirectory())), "s")
        sessions = [
            stack.enter_context(
                psycopg.connect(server.dsn(), autocommit=True, application_name=f"pytest:gw{number} a.py::b")
            )
            for number in range(options.sessions)
        ]
        sampler = SamplerProcess(files)
        stack.callback(sampler.stop)
        sampler.watch(server.dsn(), "the benchmark", [])
        assert sampler.pid is not None
        process = psutil.Process(sampler.pid)
        history, reader = WaitHistory(), JournalReader(files.journal)
        while len(history.polls) < 10:
            threading.Event().wait(0.1)
            history.add(reader.read())
        size = files.journal.stat().st_size
        idle = percent_of_core(process, options.seconds)
        grown = files.journal.stat().st_size - size
        sessions[0].execute("SELECT pg_advisory_lock(1)")
        waiter = threading.Thread(target=lambda: sessions[1].execute("SELECT pg_advisory_lock(1)"))
        waiter.start()
        waiting = percent_of_core(process, options.seconds)
        sessions[0].execute("SELECT pg_advisory_unlock(1)")
        waiter.join()
    print(f"PostgreSQL {find_programs().version()}, {options.sessions} sessions, {options.seconds:g} s each")
    print(
        f"  nothing waits: {idle:.2f} % of a core, {grown / options.seconds * 3.6:.0f} kB of journal an hour"
    )
    print(f"  one waits:     {waiting:.2f} % of a core")
    print(verdict("% of a core while nothing waits", idle, BUDGET_PERCENT))
    return 0 if idle <= BUDGET_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
