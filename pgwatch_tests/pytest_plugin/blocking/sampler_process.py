"""The sampler's process, as the controller of a test run starts and ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class SamplerFiles:
    """The files of one session of pytest: the journal of waits, and the list of its tests."""

    journal: Path
    tests: Path

    @classmethod
    def of(cls, directory: Path, session: str) -> SamplerFiles:
        """The files in the run's log directory; `session` tells them from those of another session."""
        return cls(directory / f"{session}.waits", directory / f"{session}.tests")


class SamplerProcess:
    """Starts the process at once, so that it has all its imports done when it is told what to watch.

    None of its methods raises: the suite goes on unwatched, and `trouble` says why.
    """

    def __init__(self, files: SamplerFiles) -> None:
        self._files = files
        self.trouble = ""
        self._process: subprocess.Popen[bytes] | None = None
        self.is_watching = False
        """Whether it has been told what to watch."""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pgwatch_tests.locks.watch.sampler"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C in the terminal ends the suite; the sampler ends with the pipe.
                start_new_session=True,
            )
        except OSError as error:
            self.trouble = f"its process can't be started: {error}"

    @property
    def pid(self) -> int | None:
        """The process; None if it couldn't be started."""
        return None if self._process is None else self._process.pid

    def watch(self, dsn: str, source: str, tests: Iterable[str]) -> None:
        """Tells it what to watch: the server of `dsn`, which `source` is the place of, and these tests."""
        process = self._process
        if process is None or process.stdin is None or self.is_watching:
            return
        self.is_watching = True
        try:
            self._files.journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lines = "".join(f"{test}\n" for test in tests if "\n" not in test)
            self._files.tests.write_text(lines, encoding="utf-8", errors="surrogateescape")
            told = {
                "journal": str(self._files.journal),
                "tests": str(self._files.tests),
                "dsn": dsn,
                "source": source,
            }
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            self.trouble = f"its process can't be told what to watch: {error}"

    def stop(self) -> None:
        """Ends the process; kills it if it hasn't ended within 2 s."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            if process.returncode and not self.trouble:
                self.trouble = f"its process ended with exit status {process.returncode}"
