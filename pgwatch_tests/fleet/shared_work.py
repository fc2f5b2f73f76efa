"""Work on several servers at once: bounded over all of them, shared out so that a slow one waits alone."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

from pgwatch_tests.task import CompoundTask

W = TypeVar("W")
R = TypeVar("R")

_ENDED_WITHIN_S = 2.0  # so that the server is told before the program is gone


class FairQueue(Generic[W]):
    """Items per server. The next one is of the server that fewest are being done of, in the order they came.

    So a server that hangs has its share of the workers, and no more, while others have work. Not for threads.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[W]] = {}
        self._running: dict[str, int] = {}

    def add(self, server: str, item: W) -> None:
        """Puts an item behind the others of its server."""
        self._waiting.setdefault(server, deque()).append(item)

    def take(self) -> tuple[str, W] | None:
        """Returns the next item, with its server; None if none waits. `done` is to be called for it."""
        servers = [server for server, items in self._waiting.items() if items]
        if not servers:
            return None
        server = min(servers, key=lambda one: self._running.get(one, 0))
        self._running[server] = self._running.get(server, 0) + 1
        # Of servers that are alike, the one that was longest not taken from is next.
        items = self._waiting.pop(server)
        self._waiting[server] = items
        return server, items.popleft()

    def done(self, server: str) -> None:
        """An item of that server is done."""
        self._running[server] -= 1


class SharedWork(CompoundTask, Generic[W, R]):
    """`work` on each item, in at most `at_once` daemon threads: nobody waits for them once interrupted."""

    def __init__(self, work: Callable[[str, W], R], at_once: int) -> None:
        super().__init__()
        self._work = work
        self._at_once = at_once
        self._queue: FairQueue[W] = FairQueue()
        self._changed = threading.Condition()
        self._outcomes: SimpleQueue[tuple[str, W, R] | BaseException] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0

    def add(self, server: str, item: W) -> None:
        """One more item; also while `outcomes` is gone through."""
        with self._changed:
            self._queue.add(server, item)
            self._open += 1
            self._changed.notify()

    def outcomes(self) -> Iterator[tuple[str, W, R]]:
        """Yields each item with its server and what `work` returned, as they end; raises what it raised.

        Once left, by an error or by whoever goes through it, what still runs is cancelled.
        """
        try:
            while self._open:
                self._have_workers()
                outcome = self._outcomes.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                self._open -= 1
                yield outcome
        finally:
            self._end()

    def _have_workers(self) -> None:
        while len(self._threads) < min(self._at_once, self._open):
            name = f"worker {len(self._threads) + 1}"
            thread = threading.Thread(target=self._take_turns, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _take_turns(self) -> None:
        while (taken := self._next()) is not None:
            server, item = taken
            try:
                result = self._work(server, item)
            except BaseException as error:  # noqa: BLE001  # handed to whoever waits for the outcome
                self._outcomes.put(error)
                return
            with self._changed:
                self._queue.done(server)
            self._outcomes.put((server, item, result))

    def _next(self) -> tuple[str, W] | None:
        with self._changed:
            # What is only stopped is gone through all the same: `work` says of each that it wasn't begun.
            while not self.is_cancelled:
                if (taken := self._queue.take()) is not None:
                    return taken
                self._changed.wait()
        return None

    def _end(self) -> None:
        self.cancel()
        with self._changed:
            self._changed.notify_all()
        deadline = time.monotonic() + _ENDED_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
