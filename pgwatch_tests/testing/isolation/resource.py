"""A resource that is both a context manager and an asynchronous one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Entry(Generic[T]):
    """One entering of a resource: by a thread, or a task in it."""

    thread: int
    task: asyncio.Task[Any] | None
    manager: AbstractContextManager[T]
    is_given_up: bool = False
    """Whether its task was cancelled before the resource was there."""

    @property
    def is_orphan(self) -> bool:
        """Whether its task is done: another one leaves for it, as in the tear-down of a fixture."""
        return self.task is not None and self.task.done()


class Resource(Generic[T]):
    """`with` or `async with`, as often as wanted: each time it makes the resource anew, and removes it again.

    Threads and tasks may do so at once: each removes its own. Asynchronous code doesn't wait for the server:
    a thread does so for it.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._entries: list[_Entry[T]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> T:
        """Makes the resource."""
        return self._enter(self._entry())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Removes it."""
        return self._left().__exit__(kind, error, traceback)

    async def __aenter__(self) -> T:
        """Makes the resource. If the task is cancelled meanwhile, a thread removes what it has made."""
        loop, entry = asyncio.get_running_loop(), self._entry()
        try:
            return await loop.run_in_executor(None, copy_context().run, self._enter, entry)
        except asyncio.CancelledError:
            with self._lock:
                entry.is_given_up = True
                is_there = entry in self._entries
                if is_there:
                    self._entries.remove(entry)
            if is_there:
                loop.run_in_executor(None, entry.manager.__exit__, None, None, None)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Removes it."""
        return await asyncio.to_thread(self._left().__exit__, kind, error, traceback)

    def _entry(self) -> _Entry[T]:
        return _Entry(threading.get_ident(), _task(), self._make())

    def _enter(self, entry: _Entry[T]) -> T:
        value = entry.manager.__enter__()
        with self._lock:
            if not entry.is_given_up:
                self._entries.append(entry)
                return value
        entry.manager.__exit__(None, None, None)
        return value

    def _left(self) -> AbstractContextManager[T]:
        """Returns what the caller has entered last; if it has nothing, what nobody else will leave."""
        thread, task = threading.get_ident(), _task()
        with self._lock:
            own = [one for one in self._entries if one.thread == thread and one.task is task]
            orphans = [one for one in self._entries if one.is_orphan]
            entry = (own or orphans or self._entries)[-1]
            self._entries.remove(entry)
            return entry.manager


def _task() -> asyncio.Task[Any] | None:
    with suppress(RuntimeError):  # no event loop runs in this thread
        return asyncio.current_task()
    return None
