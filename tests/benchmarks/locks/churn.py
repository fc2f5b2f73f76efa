"""How often churn looks like a deadlock: `python -m tests.benchmarks.locks.churn --seconds 180`.

A server of its own; ends with 1 if a deadlock was reported, since there can't be one.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from tests.locks.churn import churn
from tests.servers.server_places import server_directory


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.locks.churn", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="default: %(default)g")
    parser.add_argument("--workers", type=int, default=14, help="default: %(default)s")
    parser.add_argument(
        "--pause",
        type=float,
        action="append",
        help="seconds between two polls; may be given several times, each has its share of the time "
        "(default: 0.25, 0.05 and 0)",
    )
    options = parser.parse_args()
    pauses_s = options.pause or [0.25, 0.05, 0.0]
    with EmbeddedServer(find_programs(), server_directory()) as server:
        found = churn(server.dsn(), options.workers, options.seconds, pauses_s)
    print(
        f"PostgreSQL {find_programs().version()}, {options.workers} workers, {options.seconds:g} s, ", end=""
    )
    print(f"pauses of {', '.join(f'{pause_s:g}' for pause_s in pauses_s)} s")
    for field in fields(found):
        print(f"{field.name.replace('_', ' '):>18}  {getattr(found, field.name)}")
    return 1 if found.deadlocks or found.lasting_probable else 0


if __name__ == "__main__":
    sys.exit(main())
