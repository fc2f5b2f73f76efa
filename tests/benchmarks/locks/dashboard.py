"""What our dashboard costs beside pg_activity: CPU while it watches, time until it shows data and blockers.

Both run in a pseudo-terminal of 140x40, one after the other, on the same server. First paint is when
data of the server is on the screen: our header's count of connections, a line of pg_activity's table. First
answer is when the blocker can be read: in our tree; in pg_activity's list of blockers, whose key is typed as
soon as there is a picture. With `--crowd`, keys are typed while so many sessions wait for one row.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks import programs
from tests.benchmarks.locks.crowd import Crowd, crowd, server
from tests.benchmarks.measure import interleave, table, verdict
from tests.benchmarks.terminal import TerminalProgram

OURS = "pgwatch-tests"
PEER = "pg_activity"
_FIRST_DATA = {OURS: rb"\d+ of \d+ connections", PEER: rb"PgSleep"}
_BLOCKER = {OURS: rb"blocks \d+", PEER: rb"BLOCKING QUERIES.*transactionid +ExclusiveLock"}
_LIST_OF_BLOCKERS = b"3"
_KEYS = ((b"2", rb"Waits for"), (b"1", rb"blocks \d+"))
"""The tab of sessions, and back: keys that draw all rows, with what only their answer shows."""
_SETTLE_S = 4.0  # our first data is there before our tabs are, and before leaks are counted
_BETWEEN_KEYS_S = 0.17  # no divisor of the poll's interval


def main() -> None:
    """Prints CPU and first paint of both, with and without sessions that wait."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.locks.dashboard", description=__doc__)
    parser.add_argument("--sessions", type=int, default=400, help="sessions in all (default: %(default)s)")
    parser.add_argument("--busy", type=int, default=40, help="of them run a statement (default: %(default)s)")
    parser.add_argument(
        "--waiters", type=int, nargs="+", default=[0, 50], help="how many wait (default: 0 50)"
    )
    parser.add_argument("--refresh", type=float, default=2.0, help="of both, seconds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=12.0, help="of each CPU figure (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="CPU figures of each (default: %(default)s)")
    parser.add_argument("--paints", type=int, default=10, help="starts of each (default: %(default)s)")
    parser.add_argument("--crowd", type=int, default=0, help="time keys instead, while so many sessions wait")
    parser.add_argument("--pg-activity", type=Path, help="the program (default: installed into the cache)")
    arguments = parser.parse_args()
    peer: Path = arguments.pg_activity or programs.installed_pg_activity()
    answer = subprocess.run([peer, "--version"], capture_output=True, text=True, check=True)
    sessions = max(arguments.sessions, arguments.crowd + arguments.busy + 10)
    with server(sessions + 50) as started, crowd(started.dsn()) as gathered:
        gathered.grow_to(sessions)
        gathered.work(arguments.busy)
        commands = {
            OURS: programs.dashboard(started.dsn(), arguments.refresh),
            PEER: programs.pg_activity(peer, started.dsn(), arguments.refresh),
        }
        for waiters in [] if arguments.crowd else sorted(arguments.waiters):
            gathered.block(waiters)
            _describe(gathered, waiters, arguments.refresh, answer.stdout.strip())
            _compare_paints(commands, arguments.paints)
            if waiters:
                _compare_answers(commands, arguments.paints)
            _compare_cpu(commands, arguments.rounds, arguments.seconds)
        if arguments.crowd:
            gathered.block(arguments.crowd)
            _describe(gathered, arguments.crowd, arguments.refresh, answer.stdout.strip())
            _time_keys(commands[OURS], arguments.rounds)


def _describe(gathered: Crowd, waiters: int, refresh_s: float, peer: str) -> None:
    print(
        f"\n{gathered.sessions} sessions, {len(gathered.busy)} of them busy, {waiters} blocked; "
        f"every {refresh_s:g} s; beside {peer}"
    )


def _compare_paints(commands: dict[str, list[str]], rounds: int) -> None:
    def first_paint(name: str) -> Callable[[], float]:
        def measure() -> float:
            with TerminalProgram(commands[name], programs.environment()) as program:
                return program.wait_for(_FIRST_DATA[name]) * 1000

        return measure

    samples = interleave({name: first_paint(name) for name in commands}, rounds)
    print(" first paint")
    print(table(samples, "ms", PEER))
    print(verdict(f"{OURS} / {PEER}", samples.ratio(OURS, PEER).median, 1.5))


def _compare_answers(commands: dict[str, list[str]], rounds: int) -> None:
    def first_answer(name: str) -> Callable[[], float]:
        def measure() -> float:
            with TerminalProgram(commands[name], programs.environment()) as program:
                if name == PEER:
                    program.wait_for(_FIRST_DATA[name])
                    program.type(_LIST_OF_BLOCKERS)
                return program.wait_for(_BLOCKER[name]) * 1000

        return measure

    samples = interleave({name: first_answer(name) for name in commands}, rounds)
    print(" first answer: who blocks")
    print(table(samples, "ms", PEER))
    print(verdict(f"{OURS} / {PEER}", samples.ratio(OURS, PEER).median, 1.1))


def _time_keys(command: Sequence[str], rounds: int) -> None:
    """Prints how long keys take to be answered; raises AssertionError for one that never is."""
    taken_ms = []
    with TerminalProgram(command, programs.environment()) as program:
        program.wait_for(_BLOCKER[OURS])
        time.sleep(_SETTLE_S)
        for _ in range(rounds * 4):
            for key, pattern in _KEYS:
                taken_ms.append(program.answer_s(key, pattern) * 1000)
                time.sleep(_BETWEEN_KEYS_S)
    print(f" {len(taken_ms)} keys, all answered: median {statistics.median(taken_ms):.0f} ms")
    slowest = statistics.quantiles(taken_ms, n=20)[-1]
    print(verdict("ms, 19 of 20 keys", slowest, 100.0))


def _compare_cpu(commands: dict[str, list[str]], rounds: int, seconds: float) -> None:
    def cpu_share(name: str) -> Callable[[], float]:
        def measure() -> float:
            return _cpu_percent(commands[name], _FIRST_DATA[name], seconds)

        return measure

    samples = interleave({name: cpu_share(name) for name in commands}, rounds, warm_ups=0)
    print(" CPU, in per cent of one core")
    print(table(samples, "% ", PEER))
    print(verdict(f"{OURS} / {PEER}", samples.ratio(OURS, PEER).median, 0.5))


def _cpu_percent(command: Sequence[str], first_data: bytes, seconds: float) -> float:
    with TerminalProgram(command, programs.environment()) as program:
        program.wait_for(first_data)
        time.sleep(_SETTLE_S)  # what belongs to the start isn't counted
        before_s, began_s = program.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return (program.cpu_s() - before_s) / (time.monotonic() - began_s) * 100


if __name__ == "__main__":
    main()
