"""Processes that build a template at once, one of them killed now and then.

`python -m tests.testing.isolation.databases.builders DSN ROUNDS SEED` prints a line of JSON for each round.
It forks without a connection open, so that a process costs nothing. Most rounds don't measure how to copy.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from pgwatch_tests.testing import IsolatedPlace, drop_templates, function_migrations, isolated_database
from pgwatch_tests.testing.isolation.databases import template_database as module
from pgwatch_tests.testing.isolation.databases.template_database import template_database
from pgwatch_tests.testing.isolation.own_sessions import own_sessions

_WORKERS = 3


def race(dsn: str, version: str, kill_after_s: float | None, file: Path) -> None:
    """Forks the workers, kills the first one after a while, and waits for all."""

    def migrate(place: IsolatedPlace) -> None:
        tell(file, "began")
        with place.connect(autocommit=True) as connection:
            connection.execute("CREATE TABLE a (); SELECT pg_sleep(0.01)")
            connection.execute("CREATE TABLE b ()")

    def work() -> None:
        with own_sessions(dsn) as sessions:
            template_database(sessions, function_migrations(migrate, version))
        tell(file, "found")

    children = [forked(work) for _ in range(_WORKERS)]
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(children[0], signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)
    if kill_after_s is None:
        return
    with (
        isolated_database(dsn, function_migrations(migrate, version)) as place,
        place.connect() as connection,
    ):
        query = "SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind = 'r'"
        tell(file, " ".join(sorted(name for (name,) in connection.execute(query).fetchall())))


def forked(work: object) -> int:
    """The pid of a process that does it."""
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            assert callable(work)
            work()
            status = 0
        os._exit(status)
    return child


def tell(file: Path, what: str) -> None:
    """Appends a line, whole."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{what}\n".encode())
    os.close(descriptor)


def rounds(dsn: str, number: int, seed: int) -> None:
    """Every other round without a kill."""
    chance = random.Random(seed)
    measure = module._fastest
    for which in range(number):
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "told"
            module._fastest = measure if which % 5 == 0 else lambda *_: "default"
            kill_after_s = chance.uniform(0, 0.2) if which % 2 else None
            race(dsn, f"{seed} {which}", kill_after_s, file)
            told = file.read_text().splitlines()
        print(json.dumps({"kill_after_s": kill_after_s, "told": told}), flush=True)
    drop_templates(dsn, 0)


if __name__ == "__main__":
    rounds(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
