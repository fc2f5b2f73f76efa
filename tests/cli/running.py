"""Commands as people run them: in this process where only what they say and end with counts.

A process of its own takes half a second for its imports; it is for tests of signals, terminals and pipes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from unittest.mock import patch

from pgwatch_tests import cli

_CHECKOUT = Path(__file__).parent.parent.parent
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without anything that says where to connect, and with `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "PYTEST")) and name != "DATABASE_URL"
    }
    return {**kept, "PYTHONPATH": str(_CHECKOUT), **(extra or {})}


def pgwatch(
    home: Path, *arguments: str, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a command says and ends with in `home`, without a terminal; to be called in the main thread.

    Raises AssertionError if it leaves a signal's handler behind.
    """
    handlers = [signal.getsignal(number) for number in _HANDLED]
    with ExitStack() as stack:
        # Files, for those who ask for a stream's number.
        stdout, stderr = (stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(2))
        stdin = stack.enter_context(Path(os.devnull).open(encoding="utf-8"))
        stack.enter_context(chdir(home))
        stack.enter_context(patch.dict(os.environ, environment(extra), clear=True))
        stack.enter_context(patch.object(sys, "stdin", stdin))
        stack.enter_context(redirect_stdout(stdout))
        stack.enter_context(redirect_stderr(stderr))
        exit_code = cli.run([*arguments])
        for stream in (stdout, stderr):
            stream.seek(0)
        said = (stdout.read(), stderr.read())
    assert [signal.getsignal(number) for number in _HANDLED] == handlers, arguments
    return subprocess.CompletedProcess(["pgwatch-tests", *arguments], exit_code, *said)


@contextmanager
def as_ordinary_account(directory: Path) -> Iterator[Path]:
    """A place in `directory`, and an account to work in it that file modes hold for."""
    home = directory / "home"
    home.mkdir()
    account = os.geteuid()
    if account == 0:
        directory.chmod(0o755)
        os.chown(home, 65534, 65534)
        os.seteuid(65534)
    try:
        yield home
    finally:
        os.seteuid(account)
