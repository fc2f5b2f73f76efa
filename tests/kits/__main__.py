"""Runs kits that `init` writes into fresh repositories, on a live server: `python -m tests.kits [KIT …]`.

Kits: vitest3, vitest4, vitest5 (which has Playwright, too), playwright (several origins, hooks), jest,
libraries (Knex, TypeORM, Prisma), managers (Yarn, bun, Node 22), pytest, workflows, and shards: six of them
on one server, one of which is killed. They need npm, Node 20 or newer, for Playwright a Chromium, and zizmor
on the PATH. Ends with 1 if one of them doesn't do what it says. `--cost` measures, besides, what the helper
costs a test.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.kits import libraries_kit, managers_kit, node_kit, pytest_kit, shards_kit, workflow_kit
from tests.kits.kit_server import kit_server
from tests.kits.repositories import KitError, Place

KITS: Mapping[str, Callable[[Place, bool], None]] = {
    "vitest3": lambda place, cost: node_kit.run(place, "3.2", cost=cost),
    "vitest4": lambda place, cost: node_kit.run(place, "4.1", cost=cost),
    "vitest5": lambda place, cost: node_kit.run(place, "5", playwright=True, cost=cost),
    "playwright": lambda place, cost: node_kit.run_playwright(place),
    "jest": lambda place, cost: libraries_kit.run_jest(place),
    "libraries": lambda place, cost: libraries_kit.run_libraries(place),
    "managers": lambda place, cost: managers_kit.run(place),
    "pytest": lambda place, cost: pytest_kit.run(place),
    "shards": lambda place, cost: shards_kit.run(place),
    "workflows": lambda place, cost: workflow_kit.run(place),
}


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.kits")
    parser.add_argument("kits", nargs="*", metavar="KIT", help=f"of {', '.join(KITS)}. Default: all")
    parser.add_argument("--cost", action="store_true", help="measure what the helper costs a test")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep the repositories there")
    given = parser.parse_args()
    if unknown := set(given.kits) - set(KITS):
        parser.error(f"no such kit: {', '.join(sorted(unknown))}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pgwatch-kits-") as scratch, kit_server() as server:
        for name in given.kits or KITS:
            began = time.monotonic()
            root = (given.keep or Path(scratch)) / name
            try:
                KITS[name](Place(root, server, name), given.cost)
            except KitError as error:
                failed += 1
                print(f"{name}: FAILED after {time.monotonic() - began:.0f} s\n{error}", flush=True)
            else:
                print(f"{name}: passed in {time.monotonic() - began:.0f} s", flush=True)
    passed = len(given.kits or KITS) - failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
