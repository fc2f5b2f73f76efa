"""`pgwatch-tests demo`, as people call it: with and without a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.embedded.processes import assert_gone
from tests.servers.server_places import base
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("programs")

COMMAND = [sys.executable, "-m", "pgwatch_tests", "demo"]
ENVIRONMENT = {**os.environ, "TMPDIR": str(base()), "TERM": "xterm-256color"}
DIRECTORY = re.compile(r"host=(\S+)/s&")


def directory_in(text: str) -> Path:
    """The server's directory, from the connection string that the demo prints."""
    match = DIRECTORY.search(text)
    assert match is not None, text
    return Path(match[1])


def test_once_prints_a_root_blocker_and_a_leak_and_ends() -> None:
    ended = subprocess.run([*COMMAND, "--once"], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert re.search(r"blocks \d", ended.stdout)
    assert re.search(r"[1-9]\d* leaked rows? in", ended.stdout)
    assert "postgresql://" in ended.stderr
    assert "postgresql://" not in ended.stdout
    assert not directory_in(ended.stderr).exists()


def test_what_libpq_is_told_of_other_servers_does_not_reach_it() -> None:
    others = {"PGSERVICE": "none", "PGREQUIREAUTH": "scram-sha-256", "PGOPTIONS": "-c search_path=none"}
    others |= {"PGHOST": "nowhere.invalid", "PGUSER": "nobody", "PGDATABASE": "none"}
    ended = subprocess.run(
        [*COMMAND, "--once"], capture_output=True, text=True, env={**ENVIRONMENT, **others}
    )
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"[1-9]\d* leaked rows? in", ended.stdout)


def test_without_a_terminal_it_goes_on_for_the_given_time() -> None:
    begun = time.monotonic()
    ended = subprocess.run(
        [*COMMAND, "--seconds", "3"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    assert time.monotonic() - begun >= 3
    assert len(re.findall(r"leaked rows? in \d", ended.stdout)) == 1
    assert not directory_in(ended.stderr).exists()


class Terminal:
    """A demo that runs in a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._seen = b""

    def read_until(self, pattern: str, timeout_s: float = PATIENCE_S) -> str:
        """All that was shown so far, once it has what is looked for."""
        deadline = time.monotonic() + timeout_s
        while re.search(pattern, self._seen.decode(errors="replace")) is None:
            assert time.monotonic() < deadline, self._seen[-2000:]
            self._read(0.1)
        return self._seen.decode(errors="replace")

    def exit_code(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit code, when it ends; what it shows meanwhile is read."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self._seen[-2000:]
            self._read(0.1)
        return self.process.returncode

    def _read(self, limit_s: float) -> None:
        if select.select([self._descriptor], [], [], limit_s)[0]:
            with contextlib.suppress(OSError):  # Linux says so when the other side is closed
                self._seen += os.read(self._descriptor, 65536)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """A demo in a terminal, with the arguments of the test's parameter."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *request.param],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=ENVIRONMENT,
    )
    os.close(theirs)
    yield Terminal(process, ours)
    process.kill()
    process.wait(timeout=PATIENCE_S)
    os.close(ours)


@pytest.mark.parametrize("terminal", [["--seconds", "1"]], indirect=True)
def test_dashboard_ends_by_itself(terminal: Terminal) -> None:
    directory = directory_in(terminal.read_until("connection string: .*\n"))
    terminal.read_until("\x1b\\[\\?1049h")
    assert terminal.exit_code() == 0
    assert not directory.exists()


@pytest.mark.parametrize("terminal", [[]], indirect=True)
def test_dashboard_ends_when_terminated(terminal: Terminal) -> None:
    directory = directory_in(terminal.read_until("connection string: .*\n"))
    terminal.read_until(r"(?s)\x1b\[\?1049h.*demo_booking")
    family = psutil.Process(terminal.process.pid).children(recursive=True)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.exit_code() == 143
    assert_gone(family, directory)
