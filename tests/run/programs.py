"""`pgwatch-tests run` as a process, and commands for it that tell which signals they get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cli.running import environment
from tests.waiting import wait_until

PROGRAM = [sys.executable, "-m", "pgwatch_tests"]

TELLS_SIGNALS = """
import os, signal, sys, time
said = open(sys.argv[1], "a", buffering=1)
def tell(number, _frame):
    print(signal.Signals(number).name, file=said)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, tell)
print("ready", os.getpid(), file=said)
until = time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    time.sleep(0.02)
"""
"""Writes the signals that it gets into a file, a line each, and ends by itself after some seconds."""


def arguments(*command: str, options: Sequence[str] = ()) -> list[str]:
    """The command line of a run."""
    return [*PROGRAM, "run", *options, "--", *command]


def run(
    folder: Path, *command: str, options: Sequence[str] = (), extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a run says and ends with."""
    return subprocess.run(
        arguments(*command, options=options),
        cwd=folder,
        env=environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class SignalTeller:
    """The command above."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.file = folder / "signals"
        self.command = [sys.executable, "-c", TELLS_SIGNALS, str(self.file), str(seconds)]

    @property
    def lines(self) -> list[str]:
        """What it has said so far."""
        return self.file.read_text().splitlines() if self.file.exists() else []

    def pid(self) -> int:
        """Its process, once it listens."""
        first = wait_until(lambda: self.lines[:1], message="the command is ready")[0]
        return int(first.split()[1])

    @property
    def signals(self) -> list[str]:
        """The names of the signals it got."""
        return self.lines[1:]
