"""What a fleet costs: `python -m tests.benchmarks.hygiene.fleet --servers 5 --databases 40`.

Each server has that many databases of some tables each, every tenth with leaked rows. Per round, `leaks` and
a dry `sweep` go over all of them, once beside each other as they do by default and once one after the other.
Beside the times it prints the peak of memory and of connections, by a poll each 20 ms. Ends with 1 if
databases are missing in a report, if there were more connections than asked for, or if a fleet isn't faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from tests.servers.server_places import server_directory

_TEMPLATE = "full_test"
_PROGRAM = (sys.executable, "-m", "pgwatch_tests")


@dataclass(frozen=True, slots=True)
class Run:
    """One command: its time in seconds, its memory in MiB, and how many connections it had at most."""

    took_s: float
    memory: float
    connections: int
    databases: int


class Connections:
    """How many sessions of ours there are on all servers together, at most, while this is entered."""

    def __init__(self, servers: Sequence[EmbeddedServer]) -> None:
        self._servers = servers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.most = 0

    def __enter__(self) -> Connections:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _poll(self) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgwatch-tests'"
        with ExitStack() as stack:
            open_ones = [
                stack.enter_context(psycopg.connect(one.dsn(), autocommit=True)) for one in self._servers
            ]
            while not self._over.wait(0.02):
                now = 0
                for connection in open_ones:
                    row = connection.execute(query).fetchone()
                    now += 0 if row is None else int(row[0])
                self.most = max(self.most, now)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hygiene.fleet", description=__doc__)
    parser.add_argument("--servers", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--databases", type=int, default=40, help="per server; default: %(default)s")
    parser.add_argument("--tables", type=int, default=20, help="per database; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    options = parser.parse_args()
    programs = find_programs()
    total = options.servers * options.databases
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [
            stack.enter_context(EmbeddedServer(programs, server_directory())) for _ in range(options.servers)
        ]
        for server in servers:
            _fill(server, options.databases, options.tables)
        lines = "".join(
            f'ci-{number} = {{ dsn = "{server.dsn()}", databases = ["test_*"] }}\n'
            for number, server in enumerate(servers, 1)
        )
        (home / "pyproject.toml").write_text(f"[tool.pgwatch-tests.servers]\n{lines}", encoding="utf-8")
        print(f"PostgreSQL {programs.version()}: {options.servers} servers, {total} databases")
        is_good = True
        for command in (("leaks",), ("sweep", "--min-age", "0s")):
            ratios = []
            for _ in range(options.rounds):
                fleet, alone = (_run(home, servers, command, jobs) for jobs in ((), ("--jobs", "1")))
                ratios.append(fleet.took_s / alone.took_s)
                print(
                    f"{command[0]}: {fleet.took_s:.2f} s, {fleet.memory:.0f} MiB, peak {fleet.connections} "
                    f"connections; one after the other {alone.took_s:.2f} s, {alone.memory:.0f} MiB, "
                    f"{alone.connections}: {ratios[-1]:.2f}"
                )
                is_good &= fleet.databases == alone.databases == total
                # Each scan may look for others that want its database over one more connection.
                is_good &= alone.connections <= 2 and fleet.connections <= 2 * max(4, options.servers)
            print(f"{command[0]}: median {statistics.median(ratios):.2f} of one after the other")
            is_good &= statistics.median(ratios) < 1
    return 0 if is_good else 1


def _fill(server: EmbeddedServer, databases: int, tables: int) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        with psycopg.connect(server.dsn(_TEMPLATE), autocommit=True) as inside:
            for number in range(tables):
                inside.execute(
                    sql.SQL("CREATE TABLE {} (id bigint PRIMARY KEY, email text, note text)").format(
                        sql.Identifier(f"t{number}")
                    )
                )
        for number in range(databases):
            name = f"test_{number}"
            administrator.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(_TEMPLATE)
                )
            )
            if number % 10 == 0:
                with psycopg.connect(server.dsn(name), autocommit=True) as inside:
                    inside.execute("INSERT INTO t0 VALUES (1, 'a@test.example.com')")


def _run(home: Path, servers: Sequence[EmbeddedServer], command: Sequence[str], jobs: Sequence[str]) -> Run:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environ = {**kept, "PYTHONPATH": str(Path.cwd()), "PGWATCH_HISTORY": str(home / "history.sqlite3")}
    with (
        Connections(servers) as connections,
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
    ):
        began = time.perf_counter()
        process = subprocess.Popen(
            [*_PROGRAM, *command, "--servers", "*", "--format", "json", *jobs],
            stdout=out,
            stderr=err,
            cwd=home,
            env=environ,
        )
        _, status, usage = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            err.seek(0)
            raise AssertionError(f"{command[0]} ended with {process.returncode}: {err.read()}")
        out.seek(0)
        document = json.load(out)
    return Run(took_s, usage.ru_maxrss / 1024, connections.most, len(document["databases"]))


if __name__ == "__main__":
    sys.exit(main())
