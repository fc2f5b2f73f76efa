"""A program in a pseudo-terminal: what it writes, what it costs, and its end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_COLUMNS, _LINES = 140, 40
_SEQUENCES = re.compile(rb"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|[()].|[=>78]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
# What programs ask a terminal, and what one answers (xterm's Control Sequences). blessed, pg_activity's
# library, waits 5 s for each answer that doesn't come.
_ANSWERS = {
    rb"\x1b\[0?c": b"\x1b[?62;22c",  # DA1
    rb"\x1b\[>0?c": b"\x1b[>41;380;0c",  # DA2
    rb"\x1b\[6n": b"\x1b[1;1R",  # cursor position
    rb"\x1b\[>0?q": b"\x1bP>|benchmark\x1b\\",  # XTVERSION
    rb"\x1bP\+q[^\x1b]*\x1b\\": b"\x1bP0+r\x1b\\",  # XTGETTCAP: not known
    rb"\x1b\[\?2026\$p": b"\x1b[?2026;2$y",  # DECRQM, synchronised output: there, off
    rb"\x1b\[\?u": b"\x1b[?0u",  # kitty's keyboard protocol: off
}
_QUESTIONS = re.compile(b"|".join(b"(%b)" % question for question in _ANSWERS))
_LONGEST_QUESTION = 64
_END_S = 10.0
_CPUCLOCK_SCHED = 2


class TerminalProgram:
    """Runs from the beginning of the `with` block to its end."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._command = [str(word) for word in command]
        self._environment = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._written = bytearray()
        self._answered = 0
        self._seen = 0
        """Where the output begins that is waited for."""
        self._changed = threading.Condition()
        self._ended = False

    def __enter__(self) -> TerminalProgram:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
        self._began_s = time.perf_counter()
        self._process = subprocess.Popen(
            self._command, stdin=theirs, stdout=theirs, stderr=theirs, env=self._environment, process_group=0
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True, name="terminal")
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_END_S)
        os.close(self._ours)

    def type(self, keys: bytes) -> None:
        """Types keys, at once."""
        os.write(self._ours, keys)

    def answer_s(self, key: bytes, pattern: bytes, timeout_s: float = 60.0) -> float:
        """Seconds from a typed key until `pattern` is written after it. Raises as `wait_for` does."""
        with self._changed:
            self._seen = len(self._written)
        began_s = time.perf_counter()
        self.type(key)
        return self.wait_for(pattern, timeout_s) + self._began_s - began_s

    def wait_for(self, pattern: bytes, timeout_s: float = 60.0) -> float:
        """Seconds from the start until `pattern` was on the screen; colours and cursor moves don't count.

        Raises AssertionError with what was written instead, if the program ends or takes longer.
        """
        expression = re.compile(pattern, re.DOTALL)
        deadline_s = time.perf_counter() + timeout_s
        with self._changed:
            while not expression.search(_SEQUENCES.sub(b"", bytes(self._written[self._seen :]))):
                left_s = deadline_s - time.perf_counter()
                if self._ended or left_s <= 0:
                    tail = _SEQUENCES.sub(b" ", bytes(self._written))[-1000:]
                    raise AssertionError(f"{self._command[0]} never wrote {pattern!r}: {tail!r}")
                self._changed.wait(left_s)
            return time.perf_counter() - self._began_s

    def cpu_s(self) -> float:
        """User and system time of the process so far, with its ended threads, in seconds.

        By its clock (clock_getcpuclockid(3), linux/posix-timers.h): /proc has it in hundredths of a second.
        """
        return time.clock_gettime(~self._process.pid << 3 | _CPUCLOCK_SCHED)

    def _read(self) -> None:
        # Linux answers with EIO once the other side is closed.
        with suppress(OSError):
            while chunk := os.read(self._ours, 65536):
                with self._changed:
                    self._written += chunk
                    self._changed.notify_all()
                self._answer()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _answer(self) -> None:
        for question in _QUESTIONS.finditer(self._written, self._answered):
            assert question.lastindex is not None
            os.write(self._ours, list(_ANSWERS.values())[question.lastindex - 1])
            self._answered = question.end()
        # One that came in part is found when the rest is there.
        self._answered = max(self._answered, len(self._written) - _LONGEST_QUESTION)
