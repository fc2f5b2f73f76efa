"""How long `--help` and `--version` take beside a Python that does nothing."""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial

from tests.benchmarks import programs
from tests.benchmarks.measure import interleave, table, timed, verdict

PEER = "python -c pass"
_ALLOWANCE_MS = 60.0


def main() -> None:
    """Prints medians, ratios and the budget."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="starts of each (default: %(default)s)")
    commands = {
        PEER: [sys.executable, "-c", "pass"],
        "--version": programs.ours("--version"),
        "--help": programs.ours("--help"),
    }
    cases = {name: timed(partial(_run, command)) for name, command in commands.items()}
    samples = interleave(cases, parser.parse_args().rounds)
    print(table(samples, "ms", PEER))
    budget_ms = 2 * samples.median(PEER) + _ALLOWANCE_MS
    for case in ("--version", "--help"):
        print(verdict(f"{case}, ms", samples.median(case), budget_ms))


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=programs.environment())


if __name__ == "__main__":
    main()
