"""`interleave` beside frontrun on the gallery's functions: found, schedules, seconds, replays.

frontrun explores by Python's bytecode and by the SQL of cursors, under a command of its own. It needs the
extra `comparison` (`pip install -e '.[test,comparison]'`). Both get the same functions, each call with a
connection of its own, the same invariants, a bound of two preemptions and the same time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.testing import interleave, replay
from tests.servers.server_places import server_directory
from tests.testing.interleaving.gallery import BUGS, SETUP, TABLES, Actor, Bug, Rows
from tests.testing.interleaving.test_gallery import advance

_FORMS = ("buggy", "mended")
_REPLAYS = 10
Figures = dict[str, Any]
Function = Callable[[dict[str, int]], object]
_ENDED = {True: "nothing found", None: "inconclusive", False: "found"}


def main() -> int:
    """Prints a line per form and tool."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=20.0, help="for each exploration")
    options.add_argument("--bugs", nargs="*", choices=list(BUGS), default=list(BUGS))
    options.add_argument("--inside", metavar="DSN", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.inside:
        for name, form in ((name, form) for name in asked.bugs for form in _FORMS):
            print(json.dumps(_by_frontrun(BUGS[name], form, asked.inside, asked.seconds)), flush=True)
        return 0
    command = shutil.which("frontrun", path=str(Path(sys.executable).parent)) or shutil.which("frontrun")
    if importlib.util.find_spec("frontrun") is None or command is None:
        print("frontrun isn't installed: pip install -e '.[test,comparison]'", file=sys.stderr)
        return 2
    print(
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {asked.seconds:g} s at most each"
    )
    with EmbeddedServer(find_programs(), server_directory(), {"autovacuum": "off"}) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as owner:
            owner.execute(TABLES)
        for name in asked.bugs:
            arguments = ["--inside", server.dsn(), "--seconds", str(asked.seconds), "--bugs", name]
            done = subprocess.run(
                [command, sys.executable, "-m", "tests.benchmarks.testing.frontrun", *arguments],
                capture_output=True, text=True, timeout=120 + 8 * asked.seconds,
            )  # fmt: skip
            theirs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            for at, form in enumerate(_FORMS):
                ours = _by_interleave(BUGS[name], form, server.dsn(), asked.seconds)
                _print(name, form, "interleave", ours)
                failed = {"ended": f"failed: {(done.stderr.splitlines() or ['?'])[-1]}"}
                _print(name, form, "frontrun", theirs[at] if at < len(theirs) else failed)
    return 0


def _print(name: str, form: str, tool: str, figures: Figures) -> None:
    told = [f"{figures['ended']}"]
    if "schedules" in figures:
        told.append(f"{figures['schedules']} schedules in {figures['seconds']:.2f} s")
    if figures.get("replays"):
        told.append(f"replayed {figures['same']} of {figures['replays']}")
    print(f"{name}, {form}: {tool}: {', '.join(told)}", flush=True)


def _functions(bug: Bug, form: str, dsn: str) -> list[Function]:
    def call(actor: Actor) -> Function:
        def run(world: dict[str, int]) -> None:
            with psycopg.connect(dsn) as connection, connection.transaction():
                statements, answers = actor(), list[Rows | psycopg.Error]()
                for statement in advance(statements, answers):
                    try:
                        # As text: frontrun reads no statement that is given as bytes.
                        cursor = connection.execute(statement, world)
                        answers.append(cursor.fetchall() if cursor.description else [])
                    except psycopg.Error as error:
                        answers.append(error)

        return run

    return [call(actor) for actor in (bug.buggy if form == "buggy" else bug.mended)]


class _Worlds:
    """Rows of a number of their own for each run, in tables that are there already."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def make(self) -> dict[str, int]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            row = connection.execute("SELECT coalesce(max(w), 0) + 1 FROM parent").fetchone()
            assert row is not None
            world = {"w": int(row[0])}
            for statement in SETUP:
                connection.execute(statement, world)
        return world

    def holds(self, bug: Bug, world: dict[str, int]) -> bool:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            return connection.execute(bug.holds.encode(), world).fetchone() == (True,)


def _by_interleave(bug: Bug, form: str, dsn: str, seconds: float) -> Figures:
    worlds, functions = _Worlds(dsn), _functions(bug, form, dsn)

    def holds(world: dict[str, int], _: object) -> bool:
        return worlds.holds(bug, world)

    began = time.perf_counter()
    found = interleave(
        *functions, setup=worlds.make, invariant=holds, isolation="READ COMMITTED", max_seconds=seconds
    )
    figures: Figures = {"schedules": found.explored, "seconds": time.perf_counter() - began}
    figures["ended"] = "found" if found.bad else "complete and clean" if found.complete else found.why
    if found.bad:
        figures["ended"] += f" by schedule {min(one.number for one in found.bad)}"
        same = [
            replay(
                found.bad[0].id, *functions, setup=worlds.make, invariant=holds, isolation="READ COMMITTED"
            )
            for _ in range(_REPLAYS)
        ]
        figures |= {"replays": _REPLAYS, "same": sum(bool(one.bad) for one in same)}
    return figures


def _by_frontrun(bug: Bug, form: str, dsn: str, seconds: float) -> Figures:
    import frontrun

    worlds, functions = _Worlds(dsn), _functions(bug, form, dsn)

    def explore(replays: int) -> Any:
        return frontrun.explore(
            setup=worlds.make,
            workers=functions,
            invariant=lambda world: worlds.holds(bug, world),
            preemption_bound=2,
            total_timeout=seconds,
            reproduce_on_failure=replays,
            # It knows no ids that the database gives; these tables have none.
            warn_nondeterministic_sql=False,
        )

    began = time.perf_counter()
    try:
        found = explore(0)
        figures: Figures = {"schedules": found.num_explored, "seconds": time.perf_counter() - began}
        figures["ended"] = _ENDED[found.property_holds]
        if found.property_holds is None:
            figures["ended"] += f": {found.inconclusive_reason}"
        if found.property_holds is False:
            again = explore(_REPLAYS)
            figures |= {"replays": again.reproduction_attempts, "same": again.reproduction_successes}
    except BaseException as error:  # noqa: BLE001
        return {"ended": f"failed: {type(error).__name__}: {' '.join(str(error).split())[:100]}"}
    return figures


if __name__ == "__main__":
    sys.exit(main())
