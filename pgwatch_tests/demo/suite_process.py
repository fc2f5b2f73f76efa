"""The flaky suite's process, which ends when it is closed or its owner is gone."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Any

import psycopg

import pgwatch_tests
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.application_name import OWN_NAME
from pgwatch_tests.text.numbers import plural

_START_LIMIT_S = 60.0
_END_LIMIT_S = 10.0
_POLL_S = 0.05

# Not `-m`: that would put the current directory, and whatever modules are in it, first.
_PROGRAM = (
    "import sys; sys.argv[1] in sys.path or sys.path.insert(0, sys.argv[1]); "
    "from pgwatch_tests.demo.flaky_suite.__main__ import main; main()"
)
_STATE = """
    SELECT coalesce(array_agg(DISTINCT pid) FILTER (WHERE pid IS NOT NULL), '{}'),
           EXISTS (SELECT FROM users WHERE email LIKE '%@test.example.com')
    FROM pg_lock_status() AS lock
    WHERE NOT granted
"""


@dataclass(frozen=True, slots=True)
class SuiteCounts:
    """Counts of a suite: tests that ended, and how many failed, by the database's error."""

    tests: int = 0
    failures: dict[str, int] = field(default_factory=dict)

    def in_words(self) -> str:
        """`120 tests, 9 failed (6 UniqueViolation, 3 DeadlockDetected)`."""
        failed = sum(self.failures.values())
        kinds = ", ".join(f"{count:,} {name}" for name, count in self.failures.items())
        tests = plural(self.tests, "test")
        return f"{tests}, {failed:,} failed{f' ({kinds})' if kinds else ''}"


class FlakySuite:
    """The suite, as a context manager. It plays from `begin` on.

    `scenarios` limits it to those; `pace` below 1 makes everything shorter.
    """

    def __init__(
        self,
        *,
        workers: int = 7,
        seed: int | None = None,
        pace: float = 1.0,
        scenarios: Sequence[str] = (),
    ) -> None:
        self._order = {
            "workers": workers,
            "seed": SystemRandom().randrange(10**6) if seed is None else seed,
            "pace": pace,
            "scenarios": list(scenarios),
        }
        self._dsn = ""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        # Loads its libraries while the server is being made: the DSN comes later, by its stdin.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(Path(pgwatch_tests.__file__).resolve().parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> FlakySuite:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The conductor's process."""
        return self._process.pid

    def begin(self, dsn: str) -> None:
        """Makes the application's tables and lets the workers play; returns when they do."""
        assert self._process.stdin is not None
        self._dsn = dsn
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"dsn": dsn, **self._order}).encode() + b"\n")
            self._process.stdin.flush()
        if not self._next_line(_START_LIMIT_S):
            raise self._failure("didn't start")

    def wait_until_interesting(self, timeout_s: float = 60.0) -> None:
        """Waits until a session has just begun to wait for a lock, and a test has left a row behind.

        Just begun: so that it still waits for a while when somebody looks.
        """
        deadline = time.monotonic() + timeout_s
        before: set[int] | None = None
        with psycopg.connect(self._dsn, autocommit=True, application_name=OWN_NAME) as connection:
            while time.monotonic() < deadline:
                row = connection.execute(_STATE).fetchone()
                assert row is not None
                waiting = set(row[0])
                if row[1] and before is not None and waiting - before:
                    return
                before = waiting
                if self._process.poll() is not None:
                    raise self._failure("ended")
                time.sleep(_POLL_S)
        raise self._failure(f"had no blocked session within {timeout_s:g} s")

    def close(self) -> SuiteCounts:
        """Ends the suite and says what it did."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._log.closed:
            return SuiteCounts()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        said = self._next_line(_END_LIMIT_S)
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
        return SuiteCounts(said["tests"], said["failures"]) if "tests" in said else SuiteCounts()

    def _next_line(self, limit_s: float) -> dict[str, Any]:
        """Returns the conductor's next line; empty if it ended or took too long."""
        assert self._process.stdout is not None
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        if not poller.poll(limit_s * 1000):
            return {}
        line = self._process.stdout.readline()
        return json.loads(line) if line else {}

    def _failure(self, what: str) -> ConfigurationError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return ConfigurationError(f"the flaky suite {what}{': ' if lines else ''}{''.join(lines[-1:])}")
