"""Owners that run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, and the name of what it owns."""

    process: subprocess.Popen[str]
    name: str

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def owner_of(what: str, dsn: str) -> Iterator[Owner]:
    """A process that runs `tests.sweep.orphans.owners`; killed in the end, if it isn't yet."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.sweep.orphans.owners", what, dsn],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            name = process.stdout.readline().strip()
            assert name, "the owner ended"
            yield Owner(process, name)
        finally:
            process.kill()
