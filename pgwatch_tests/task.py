"""Tasks: work that any thread can stop or cancel, before it has begun and while it runs."""

from __future__ import annotations

import threading
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Stoppable(Protocol):
    """Work that ends early on request. Both methods return at once and do nothing once it has ended."""

    def stop(self) -> None:
        """Makes `run` return its result after the step that it is at."""

    def cancel(self) -> None:
        """Makes `run` raise within moments."""


class Task(Stoppable, Protocol[T_co]):
    """Work that is `run` once, in one thread; `stop` and `cancel` are for any other."""

    def run(self) -> T_co:
        """Does the work and returns its result."""


class CompoundTask:
    """The base of a task that runs other tasks, one by one or at once, and passes stop and cancel on."""

    def __init__(self) -> None:
        # A signal's handler may interrupt the thread that holds it, and stop the task as well.
        self._lock = threading.RLock()
        self._running: list[Stoppable] = []
        self._is_stopped = self._is_cancelled = False

    def stop(self) -> None:
        """Stops the tasks that run, and each that is run from now on. Returns at once."""
        for task in self._asked_to_end(cancel=False):
            task.stop()

    def cancel(self) -> None:
        """Cancels the tasks that run, and each that is run from now on. Returns at once."""
        for task in self._asked_to_end(cancel=True):
            task.cancel()

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped or cancelled."""
        return self._is_stopped

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._is_cancelled

    def run_task(self, task: Task[T]) -> T:
        """Runs a task that ends early with this one. Returns and raises what the task does."""
        with self._lock:
            self._running.append(task)
            is_stopped, is_cancelled = self._is_stopped, self._is_cancelled
        if is_cancelled:
            task.cancel()
        elif is_stopped:
            task.stop()
        try:
            return task.run()
        finally:
            with self._lock:
                self._running.remove(task)

    def _asked_to_end(self, *, cancel: bool) -> tuple[Stoppable, ...]:
        """Notes the request, for tasks to come. Returns the tasks that run."""
        with self._lock:
            self._is_stopped = True
            self._is_cancelled = self._is_cancelled or cancel
            return tuple(self._running)
