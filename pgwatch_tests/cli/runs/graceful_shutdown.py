"""Graceful shutdown: the first signal finishes the batch, the second cancels, the third aborts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, TypeVar

from pgwatch_tests.cli import options
from pgwatch_tests.task import Task

T = TypeVar("T")

_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class GracefulShutdown(Generic[T]):
    """Runs a task in a thread of its own, so that signals are noticed while the server takes its time.

    The first Ctrl-C or SIGTERM stops it, the second cancels it, the third leaves it to itself.
    """

    def __init__(self, task: Task[T]) -> None:
        self._task = task
        self._signals = 0
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self.exit_code: int | None = None
        """What the first signal makes of the exit code; None as long as there was none."""

    def run(self) -> T:
        """The result of the work, or its error. To be called in the main thread, which gets the signals."""
        thread = threading.Thread(target=self._run, name="sweep", daemon=True)
        with self._signals_caught():
            thread.start()
            thread.join()
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._task.run())
        except BaseException as error:  # noqa: BLE001  # raised again by who waits
            self._errors.append(error)

    @contextmanager
    def _signals_caught(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in _EXIT_CODES}
        # Whoever started us with a signal ignored wants it ignored.
        caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in caught:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number in caught:
                signal.signal(number, before[number])

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self.exit_code = _EXIT_CODES[signal.Signals(number)]
            again = "Ctrl-C again" if number == signal.SIGINT else "a second signal"
            self._task.stop()
            options.narrate(f"stopping after this batch; {again} stops now")
        elif self._signals == 2:
            self._task.cancel()
        else:
            raise KeyboardInterrupt
