"""What `run` costs a suite: `python -m tests.benchmarks.runs.run_overhead`.

A command on a server of its own, alone and under `run`, in turns: how much later it starts, how much longer
it takes by itself, and how long it takes until the report is there. Ends with 1 if a budget isn't met.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import psycopg

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from tests.benchmarks.measure import Ratio, interleave, verdict
from tests.cli.running import environment
from tests.servers.server_places import server_directory

START_BUDGET_S = 0.5
WALL_BUDGET = 1.01

_COMMAND = """
import os, sys, time
print(time.time(), flush=True)
import psycopg
seconds, work = float(sys.argv[1]), 0
with psycopg.connect(os.environ["PGWATCH_DSN"], autocommit=True) as connection:
    for _ in range(int(seconds * 200)):
        connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", [work % 100])
        work += 1
        sum(range(20_000))
print(time.time())
"""
"""A fixed amount of work, half of it Python's, half of it the server's."""


def timed(program: list[str], folder: Path, extra: dict[str, str]) -> tuple[float, float, float]:
    """Seconds until the command runs, that it takes, and from its end until the program's."""
    began = time.time()
    done = subprocess.run(
        program,
        cwd=folder,
        env=environment(extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    ended = time.time()
    first, last = map(float, done.stdout.split())
    return first - began, last - first, ended - last


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.runs.run_overhead", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of work, roughly (default: %(default)g)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    options = parser.parse_args()
    command = [sys.executable, "-c", _COMMAND, str(options.seconds)]
    with EmbeddedServer(find_programs(), server_directory()) as server, tempfile.TemporaryDirectory() as name:
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            administrator.execute("CREATE DATABASE bench_test")
        with psycopg.connect(server.dsn("bench_test"), autocommit=True) as inside:
            inside.execute(
                "CREATE TABLE accounts AS SELECT id, 0 AS balance, 'a@example.com' AS email"
                " FROM generate_series(0, 99) AS id"
            )
        folder = Path(name)
        extra = {"PGWATCH_DSN": server.dsn("bench_test"), "XDG_STATE_HOME": name}
        programs = {
            "alone": command,
            "run": [sys.executable, "-m", "pgwatch_tests", "run", "--", *command],
            "run --no-record": [sys.executable, "-m", "pgwatch_tests", "run", "--no-record", "--", *command],
        }
        taken: dict[str, list[tuple[float, float, float]]] = {case: [] for case in programs}

        def measured(case: str) -> float:
            taken[case].append(timed(programs[case], folder, extra))
            return taken[case][-1][1]

        interleave({case: partial(measured, case) for case in programs}, options.rounds)
    alone = taken["alone"][1:]
    print(f"PostgreSQL {find_programs().version()}, {os.cpu_count()} cores, {options.rounds} rounds")
    met = True
    for case in ("run", "run --no-record"):
        those = taken[case][1:]
        pairs = list(zip(those, alone, strict=True))
        later = Ratio.of([mine[0] - other[0] for mine, other in pairs])
        longer = Ratio.of([mine[1] / other[1] for mine, other in pairs])
        after = Ratio.of([mine[2] for mine in those])
        print(f"{case}: starts {later.median:.2f} s later ({later.low:.2f} to {later.high:.2f});")
        print(f"  the command itself takes {longer};")
        print(f"  {after.median:.2f} s from its end to ours ({after.low:.2f} to {after.high:.2f})")
        print(verdict("seconds until the start", later.median, START_BUDGET_S))
        print(verdict("the command's time, to that alone", longer.median, WALL_BUDGET))
        met = met and later.median <= START_BUDGET_S and longer.median <= WALL_BUDGET
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
