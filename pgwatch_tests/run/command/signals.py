"""Signals of a run: each is forwarded to the command once, unless it has reached it already.

A terminal sends Ctrl-C to its whole foreground process group; `timeout` and service managers signal the group
or each of its processes. The command has such a signal as well; a second one would cut its clean-up short.
What reaches only us (a CI that cancels a job, `docker stop`) is passed on; the second of these kills.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from pgwatch_tests.run.command import group_witness

_ENDING = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM")
_OF_KEYS = ("SIGINT", "SIGQUIT")
_TOLD = ("SIGUSR1", "SIGUSR2")
"""Signals that are forwarded, but ask for nobody's end."""
_WITNESS_WITHIN_S = 0.3
"""A busy machine may take that long to let the witness say what it got."""
_SAME_S = 0.5
"""`timeout` signals its child and then the whole group: that is one signal, not two."""


class Target(Protocol):
    """What signals are forwarded to."""

    def send(self, number: int) -> None:
        """Sends it the signal, if it is there."""


class SignalRelay:
    """Takes the signals of this process, from `__enter__` to `__exit__`, both in the main thread.

    They are blocked in all its threads meanwhile, so nothing is interrupted by one. Ignored ones stay so.
    """

    def __init__(self) -> None:
        names = [name for name in (*_ENDING, *_TOLD) if hasattr(signal, name)]
        known = {signal.Signals[name] for name in names}
        # Whoever started us with a signal ignored (nohup, a script's background) wants it ignored.
        self.numbers = {number for number in known if signal.getsignal(number) is not signal.SIG_IGN}
        self._ending = {number for number in self.numbers if number.name in _ENDING}
        self.mask_before: set[int] = set()
        """The signals that were blocked before: the command is to start with these."""
        self.first: signal.Signals | None = None
        """The first signal that asks for an end."""
        self.first_at: float | None = None
        """When a signal first came that a kill may follow, by `time.monotonic`.

        Ctrl-C and Ctrl-\\ of a terminal are none: whoever is at a prompt, a pager or a debugger goes on.
        """
        self.on_end: Callable[[signal.Signals, int], None] = lambda number, count: None
        """Called for each signal that asks for an end, and how many there were: in a thread of its own."""
        self._count = 0
        self._last: dict[int, float] = {}
        self._forwarded = 0
        self._target: Target | None = None
        self._witness: subprocess.Popen[bytes] | None = None
        self._heard: dict[int, float] = {}
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="pgwatch-tests signals", daemon=True)

    def __enter__(self) -> SignalRelay:
        self.mask_before = {*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, self.numbers))}
        # Blocked there, too, until it listens: none is lost, and none ends it.
        with suppress(OSError):
            self._witness = subprocess.Popen(
                [sys.executable, "-I", "-S", Path(group_witness.__file__), *map(str, map(int, self.numbers))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
            )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing = True
        waking = next(iter(self.numbers), None)
        if waking is not None and self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, waking)
            self._thread.join()
        if self._witness is not None:
            self._witness.kill()
            self._witness.communicate()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask_before)

    def forward_to(self, target: Target) -> None:
        """Forwards from now on."""
        self._target = target

    @property
    def has_forwarded(self) -> bool:
        """Whether a signal that asks for an end was passed on: the command wouldn't have got it otherwise."""
        return self._forwarded > 0

    def _run(self) -> None:
        while self.numbers:
            number, from_kernel = _next(self.numbers)
            if self._is_closing:
                return
            self._take(signal.Signals(number), from_kernel)

    def _take(self, number: signal.Signals, from_kernel: bool) -> None:
        now = time.monotonic()
        is_same = now - self._last.get(number, -_SAME_S) < _SAME_S
        self._last[number] = now
        if number in self._ending and not is_same:
            self._count += 1
            if self.first is None:
                self.first = number
            if self.first_at is None and not (from_kernel and number.name in _OF_KEYS):
                self.first_at = now
            self.on_end(number, self._count)
        target = self._target
        if (
            target is None
            or from_kernel
            or self._group_has(number, now)
            or (is_same and number in self._ending)
        ):
            return
        if number not in self._ending:
            target.send(number)
            return
        self._forwarded += 1
        target.send(number if self._forwarded == 1 else signal.SIGKILL)

    def _group_has(self, number: int, at: float) -> bool:
        """Whether the whole group got that signal about then."""
        witness = self._witness
        if witness is None or witness.stdout is None:
            return False
        until = at + _WITNESS_WITHIN_S
        while abs(self._heard.get(number, -1.0) - at) >= _SAME_S:
            left_s = until - time.monotonic()
            if left_s <= 0 or not select.select([witness.stdout], [], [], left_s)[0]:
                return False
            said = os.read(witness.stdout.fileno(), 64)
            if not said:
                return False
            self._heard |= dict.fromkeys(said, time.monotonic())
        return True


def _next(numbers: set[signal.Signals]) -> tuple[int, bool]:
    """Waits for a signal. Returns it, and whether the kernel sent it, as a terminal's Ctrl-C."""
    if sys.platform == "linux":
        info = signal.sigwaitinfo(numbers)
        return info.si_signo, info.si_code > 0
    return signal.sigwait(numbers), False
