"""What belongs to a process that owns a server or a demo, and whether all of it is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers.server_places import base
from tests.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that was started to be ended, and what it says, line by line."""

    process: subprocess.Popen[str]

    def hear(self) -> dict[str, str]:
        """The next thing that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the owner ended"
        said: dict[str, str] = json.loads(line)
        return said

    def family(self) -> list[psutil.Process]:
        """All processes that it started, and theirs."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def owner(what: str, *arguments: str) -> Iterator[Owner]:
    """A process that runs `tests.embedded.owners.<what>`, in a process group of its own like a terminal's."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.embedded.owners", what, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
        env={**os.environ, "TMPDIR": str(base())},
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            yield Owner(process)
        finally:
            process.kill()


def assert_gone(family: list[psutil.Process], directory: Path) -> None:
    """Waits until no process of a family runs and its directory isn't there."""
    assert family
    wait_until(lambda: not [each for each in family if _runs(each)], message=f"{family} are gone")
    wait_until(lambda: not directory.exists(), message=f"{directory} is gone")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
