"""A terminal that goes away takes the dashboard with it, also where no SIGHUP says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.waiting import PATIENCE_S

CODE = """
import signal, sys, time
from pgwatch_tests.tui.terminal.graceful_exit import end_with_terminal
# Whoever runs the tests under nohup has it ignored already.
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[1:] == ["nohup"] else signal.SIG_DFL)
end_with_terminal()
print("watching", flush=True)
time.sleep(600)
"""


def ended_with(*arguments: str) -> int:
    """The exit code of a process whose terminal was closed; it isn't in that terminal's session."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments], stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        os.close(ours)
        return process.wait(timeout=PATIENCE_S)


def test_the_process_ends_with_its_terminal() -> None:
    assert ended_with() == -signal.SIGHUP


def test_even_if_it_was_told_to_ignore_that() -> None:
    assert ended_with("nohup") == 128 + signal.SIGHUP
