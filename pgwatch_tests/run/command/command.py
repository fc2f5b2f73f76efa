"""The command of a run: its process, started as a shell starts one, and its exit code.

It is in our process group and has our descriptors: its terminal, standard input, colours, Ctrl-C, Ctrl-Z and
whatever it inherits (a jobserver of make, sd_notify) are as they would be without us. What a shell, a CI or
`timeout` sends to the group reaches it directly.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.errors import SIGNALLED, PgwatchError
from pgwatch_tests.text.secrets import mask_text

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_SHELL = "/bin/sh"
# Python ignores these, and programs expect otherwise.
_OF_PYTHON = tuple(getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name))
_OF_TERMINALS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_CONTINUED_WITHIN_S = 0.05


class NotStartedError(PgwatchError):
    """The command can't be started; `status` is the exit code that a shell has for that: 126 or 127."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended: with an exit code as shells have it (128 + n for signal n)."""

    exit_code: int
    signal: int | None = None


class Command:
    """A process that is started once. `send` is for any thread, `wait` for one."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], mask: Collection[int] = ()
    ) -> None:
        """`mask` has the signals that it starts with blocked: ours before we blocked any."""
        self._argv = argv
        self._environment = environment
        self._mask = mask
        self._lock = threading.Lock()
        self._runs = False
        self.pid = 0

    def start(self) -> None:
        """Starts it. Raises NotStartedError."""
        name = mask_text(self._argv[0])
        try:
            self.pid = self._spawned()
        except OSError as error:
            if error.errno == errno.ENOENT or (error.errno == errno.EACCES and self._is_nowhere):
                what = "no such file" if os.sep in name else "command not found"
                raise NotStartedError(f"{name}: {what}", _NOT_FOUND) from None
            raise NotStartedError(f"{name}: {error.strerror}", _NOT_EXECUTABLE) from None
        except ValueError as error:  # a NUL in an argument
            raise NotStartedError(f"{name}: {error}", _NOT_EXECUTABLE) from None
        self._runs = True

    def wait(self) -> CommandEnd:
        """Waits for its end. While a terminal has it stopped, this process is stopped as well."""
        status = _status_at_end(self.pid)
        with self._lock:
            self._runs = False
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return CommandEnd(SIGNALLED + number, number)
        return CommandEnd(os.WEXITSTATUS(status))

    def send(self, number: int) -> None:
        """Sends it a signal, if it runs."""
        with self._lock:
            if self._runs:
                with suppress(ProcessLookupError, PermissionError):  # a setuid program isn't ours to signal
                    os.kill(self.pid, number)

    @property
    def _is_nowhere(self) -> bool:
        """Whether no file of the path has that name. A directory that we may not search has none."""
        name = self._argv[0]
        if os.sep in name:
            return False
        there = (path for folder in os.get_exec_path() if os.access(path := Path(folder, name), os.F_OK))
        return all(path.is_dir() for path in there)

    def _spawned(self) -> int:
        if not self._argv[0]:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        try:
            return self._spawn(self._argv[0], self._argv)
        except OSError as error:
            path = shutil.which(self._argv[0])
            if error.errno != errno.ENOEXEC or path is None:
                raise
            # A script without its `#!` line: shells and execvp() have a shell run it.
            return self._spawn(_SHELL, [_SHELL, path, *self._argv[1:]])

    def _spawn(self, file: str, argv: Sequence[str]) -> int:
        return os.posix_spawnp(file, [*argv], self._environment, setsigmask=self._mask, setsigdef=_OF_PYTHON)


if sys.platform == "linux":

    def _status_at_end(pid: int) -> int:
        """Waits for a process's end and returns its status, as `os.waitpid` has it."""
        # Not taken from the kernel yet (WNOWAIT): what was taken can't be asked again.
        while stop := os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT):
            if stop.si_code != os.CLD_STOPPED:
                break
            if stop.si_status in _OF_TERMINALS:
                # After Ctrl-Z and `fg` both of us were stopped and go on: then what we hear is old.
                time.sleep(_CONTINUED_WITHIN_S)
            # Asked whether it is stopped still, not whether it was continued: a dying process was, and the
            # kernel doesn't say so any more.
            is_stopped = False
            with suppress(ChildProcessError):  # dead by now: then there is none that could be stopped
                is_stopped = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None
            if is_stopped and stop.si_status in _OF_TERMINALS:
                _stop_as_well()
        return os.waitpid(pid, 0)[1]

else:

    def _status_at_end(pid: int) -> int:
        """Waits for a process's end and returns its status, as `os.waitpid` has it.

        macOS has no `os.waitid` before Python 3.13: one that dies right after `fg` may be taken for
        a stopped one.
        """
        _, status = os.waitpid(pid, os.WUNTRACED)
        while os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
            news = 0
            if os.WIFSTOPPED(status) and os.WSTOPSIG(status) in _OF_TERMINALS:
                time.sleep(_CONTINUED_WITHIN_S)
                news, status = os.waitpid(pid, os.WUNTRACED | os.WCONTINUED | os.WNOHANG)
                if not news:
                    _stop_as_well()
            if not news:
                _, status = os.waitpid(pid, os.WUNTRACED)
        return status


def _stop_as_well() -> None:
    """Stops this process, in the foreground: whoever waits for us, a shell, is to know of a stopped job."""
    if _is_in_foreground():
        os.kill(os.getpid(), signal.SIGSTOP)


def _is_in_foreground() -> bool:
    """Whether our process group has the terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
