"""The poll loop: poll, tell, sleep. A timer's polls would pile up on a slow server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.locks.snapshot.poll_interval import retry_pauses_s

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Polled(Generic[T]):
    """A successful poll and its duration in seconds."""

    value: T
    took_s: float


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A failed poll: the data on the screen grows stale until one succeeds."""

    error: PgwatchError
    retry_in_s: float

    @property
    def reason(self) -> str:
        """Why it failed, in a line."""
        return str(self.error)


_INTERVALS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def next_interval_s(interval_s: float, *, slower: bool) -> float | None:
    """The next longer interval between polls, or the next shorter one, in seconds; None if there is none."""
    if slower:
        return next((one for one in _INTERVALS_S if one > interval_s), None)
    return next((one for one in reversed(_INTERVALS_S) if one < interval_s), None)


class Poller(Generic[T]):
    """Calls `read` until it is cancelled, and `tell` after each call.

    `pause_s` returns the sleep in seconds after a successful poll, from its value and duration in seconds;
    failures are retried after growing pauses. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        tell: Callable[[Polled[T] | PollFailed], None],
        pause_s: Callable[[T, float], float],
        clock: Callable[[], float],
    ) -> None:
        self._read = read
        self._tell = tell
        self._pause_s = pause_s
        self._clock = clock
        self._now = asyncio.Event()
        self._once = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether polling is paused by the user."""
        return not self._running.is_set()

    def toggle(self) -> None:
        """Pauses or resumes polling."""
        if self.paused:
            self._running.set()
        else:
            self._running.clear()
        self._now.set()

    def poll_now(self) -> None:
        """Ends the present sleep, or polls once while paused; during a poll, another one follows at once."""
        self._once.set()
        self._now.set()

    async def _allowed(self) -> None:
        """Returns while polling isn't paused, or once somebody asks for a poll."""
        while self.paused and not self._once.is_set():
            await self._now.wait()
            self._now.clear()

    async def run(self) -> None:
        """Polls until cancelled."""
        retries_s = retry_pauses_s()
        while True:
            await self._allowed()
            self._now.clear()
            self._once.clear()
            began_s = self._clock()
            try:
                value = await self._read()
            except PgwatchError as error:
                sleep_s = next(retries_s)
                self._tell(PollFailed(error, sleep_s))
            else:
                took_s = self._clock() - began_s
                self._tell(Polled(value, took_s))
                sleep_s = self._pause_s(value, took_s)
                retries_s = retry_pauses_s()
            await self._sleep(sleep_s)

    async def _sleep(self, for_s: float) -> None:
        """Returns after so many seconds, or once somebody asks for a poll."""
        # A timeout would cancel this task, and raise two exceptions for each poll.
        end = asyncio.get_running_loop().call_later(for_s, self._now.set)
        try:
            await self._now.wait()
        finally:
            end.cancel()
