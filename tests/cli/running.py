"""Commands as people run them: in this process where only what they say and end with counts.

A process of its own takes half a second for its imports; it is for tests of signals, terminals and pipes.
"""

from __future__ import annotations

import ctypes
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
def held_by_file_modes() -> Iterator[None]:
    """File modes hold inside for root, too, who owns what it writes; to be called in the main thread.

    Another account may not be let to where Python is, and couldn't import anything more. What root may beyond
    a file's owner are two capabilities of a thread (capabilities(7): CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH).
    """
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # capget(2): version 3, this thread; effective, permitted, inheritable, of the lower 32 and of the upper.
    header, capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, capabilities) == 0, os.strerror(ctypes.get_errno())
    effective = capabilities[0]
    capabilities[0] &= ~(1 << 1 | 1 << 2)
    assert libc.capset(header, capabilities) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        capabilities[0] = effective
        assert libc.capset(header, capabilities) == 0, os.strerror(ctypes.get_errno())
