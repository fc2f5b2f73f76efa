"""Runs the example again and again, in random orders: `python -m tests.booking_example [TIMES]`.

Prints what is wrong with each run, and exits with 1 if anything is. `--readme` instead of a number runs it
once, and writes what it said into the example's README.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.booking_example import readme
from tests.booking_example.expected import mistakes
from tests.booking_example.run import run_example


def main(times: int = 10) -> int:
    """Returns the exit status."""
    wrong = 0
    for number in range(times):
        seed = secrets.randbelow(10**6)
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            run = run_example(Path(directory), f"--randomly-seed={seed}")
        found = mistakes(run)
        wrong += bool(found)
        took_s = time.monotonic() - begun
        print(f"run {number + 1}, seed {seed}, {took_s:.1f} s: {'; '.join(found) or 'as expected'}")
        if found:
            print(run.output)
    return 1 if wrong else 0


def write_readme() -> int:
    """Returns the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        run = run_example(Path(directory))
    found = mistakes(run)
    print("; ".join(found) or "as expected")
    if not found:
        readme.PATH.write_text(readme.filled(readme.PATH.read_text(), run))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(write_readme() if sys.argv[1:] == ["--readme"] else main(*map(int, sys.argv[1:2])))
