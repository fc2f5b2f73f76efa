"""The standard streams: closed or full, they end no command with an internal error."""

from __future__ import annotations

import io
import os
import sys
from stat import S_ISREG
from typing import TextIO

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.text.workflow_commands import has_commands, without_commands


class _Output(io.FileIO):
    """A stream of data: what can't be written is an error."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Writes all of it. Raises BrokenPipeError, and ConfigurationError if it can't otherwise."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self.fileno(), left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ConfigurationError(f"cannot write to stdout: {error.strerror}") from error
        return len(data)


class _Narration(_Output):
    """A stream of remarks: those that nobody can read end nothing, a sweep least of all."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Writes what it can."""
        try:
            return super().write(data)
        except (OSError, ConfigurationError):
            return len(data)


def open_streams() -> None:
    """Puts streams in place that are there, and take what they can.

    What was closed (`>&-`) leads to nowhere: a connection that got its number would be written to. Nothing is
    buffered, so that nothing is left to fail when Python ends.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Narration(2, "w", closefd=False), sys.stderr)


def _text(raw: _Output, before: TextIO | None) -> io.TextIOWrapper:
    # A terminal or pipe that can't take a letter gets its code, not a traceback.
    encoding = getattr(before, "encoding", None) or "utf-8"
    # What goes into a file (`> report.md`) is in no log.
    is_log = has_commands(os.environ) and not S_ISREG(os.fstat(raw.fileno()).st_mode)
    kind = _Log if is_log else io.TextIOWrapper
    return kind(raw, encoding, errors="backslashreplace", write_through=True)


class _Log(io.TextIOWrapper):
    """A stream that a CI reads commands from: no text that is written to it is one.

    Its `buffer` takes what it is given: our own annotations.
    """

    def write(self, text: str, /) -> int:
        """Writes the text without commands. Returns how many characters of it were written."""
        super().write(without_commands(text))
        return len(text)
