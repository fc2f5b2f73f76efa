"""`load`: a function called many times by a few callers, and how long the calls took."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from pgwatch_tests.testing.races.latencies import histogram, in_milliseconds, percentile
from pgwatch_tests.testing.races.outcomes import check_not_async, error_name, not_ended
from pgwatch_tests.text.numbers import plural

_FIRST_LINE_S = 1.0
_LOOK_S = 0.1
"""How long a call that doesn't end may be joined at a time: others may be interrupted meanwhile."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of many calls."""

    successes: int
    failures: tuple[tuple[str, int], ...]
    """How many calls failed, by the error's class and SQLSTATE; most frequent first."""
    durations_s: tuple[float, ...] = field(repr=False)
    """How long each call took that succeeded, in the order of their ends."""
    elapsed_s: float
    concurrency: int
    not_begun: int = 0
    """How many calls weren't made, since all callers were late."""

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return self.successes + sum(number for _, number in self.failures)

    @property
    def throughput(self) -> float:
        """Successful calls per second."""
        return self.successes / self.elapsed_s if self.elapsed_s else 0.0

    def percentile(self, share: float) -> float:
        """Returns the seconds that this share (0 to 1) of the successful calls didn't exceed."""
        return percentile(self.durations_s, share)

    def __str__(self) -> str:
        lines = [
            f"{plural(self.calls, 'call')} by {plural(self.concurrency, 'caller')} in {self.elapsed_s:.2f} s:"
            f" {self.successes} succeeded ({self.throughput:.0f}/s), {self.calls - self.successes} failed"
        ]
        lines += [f"  {number} × {name}" for name, number in self.failures]
        if self.not_begun:
            lines.append(f"  {plural(self.not_begun, 'call')} not begun: no caller was left")
        if self.durations_s:
            shares = ", ".join(
                f"{name} {in_milliseconds(self.percentile(share))}"
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
            )
            lines += [f"latency: {shares}", histogram(self.durations_s)]
        return "\n".join(lines)


class _Tally:
    """Numbers and counts calls, and tells how many there were once a second."""

    def __init__(self, n: int, concurrency: int, timeout: float, progress: TextIO | None) -> None:
        if n < 1 or concurrency < 1:
            raise ValueError(f"load takes at least 1 call and 1 caller, not {n} and {concurrency}")
        self._n, self._concurrency, self._timeout, self._progress = n, concurrency, timeout, progress
        self._lock = threading.Lock()
        self._begun = 0
        self._under_way: dict[int, float] = {}
        """When the calls began that haven't ended, by their numbers."""
        self._callers = concurrency
        """How many are going to make another call, or make one."""
        self._is_over = False
        self._durations: list[float] = []
        self._failures: Counter[str] = Counter()
        self._began = time.perf_counter()
        self._next_line = self._began + _FIRST_LINE_S

    def begin(self) -> int | None:
        """Returns the number of a call that is to be made now; None: there is none."""
        with self._lock:
            if self._is_over or self._begun == self._n:
                self._callers -= 1
                return None
            number, self._begun = self._begun, self._begun + 1
            self._under_way[number] = time.perf_counter()
            return number

    def end(self, number: int, error: BaseException | None, *, is_late: bool = False) -> bool:
        """Takes note of a call's end. Returns whether it was in time, and its caller goes on."""
        now = time.perf_counter()
        with self._lock:
            if self._is_over:
                return False
            took = now - self._under_way.pop(number)
            is_late = is_late or took > self._timeout
            if is_late:
                self._callers -= 1
                self._failures[self._late] += 1
            elif error is None:
                self._durations.append(took)
            else:
                self._failures[error_name(error)] += 1
            if self._progress is not None and now >= self._next_line:
                self._next_line = now + 1
                done, failed = len(self._durations), self._failures.total()
                print(
                    f"load: {done + failed} of {self._n} calls, {failed} failed",
                    file=self._progress,
                    flush=True,
                )
            return not is_late

    def rest_s(self) -> float | None:
        """Returns how long it may still take until all calls are late; None: a caller is between two."""
        with self._lock:
            if len(self._under_way) < max(1, self._callers):
                return None
            latest = max(self._under_way.values())
        return latest + self._timeout - time.perf_counter()

    def stop(self) -> None:
        """Has no more calls made."""
        with self._lock:
            self._is_over = True

    def load(self) -> Load:
        """Returns the results. Calls that are still under way are late."""
        with self._lock:
            self._is_over = True
            elapsed = time.perf_counter() - self._began
            self._failures[self._late] += len(self._under_way)
            failures = tuple(one for one in self._failures.most_common() if one[1])
            return Load(
                len(self._durations), failures, tuple(self._durations), elapsed, self._concurrency,
                self._n - self._begun,
            )  # fmt: skip

    @property
    def _late(self) -> str:
        return f"{error_name(TimeoutError())}: {not_ended(self._timeout)}"


def load(
    n: int,
    function: Callable[[int], Any],
    *,
    concurrency: int = 10,
    timeout: float = 30.0,
    progress: TextIO | None = sys.stderr,
) -> Load:
    """Calls `function(number)` for all numbers below `n`, by `concurrency` threads; returns the results.

    What a call raises counts as a failure, and so does one that hasn't ended `timeout` seconds after it
    began: its caller makes no other one, and its thread is a daemon. A line a second goes to `progress`, from
    the first second on. Raises TypeError for a coroutine function.
    """
    check_not_async(function, "load")
    tally = _Tally(n, concurrency, timeout, progress)
    interrupted: list[BaseException] = []

    def work() -> None:
        is_in_time = True
        while is_in_time and not interrupted and (number := tally.begin()) is not None:
            error: BaseException | None = None
            try:
                function(number)
            except Exception as raised:  # noqa: BLE001
                error = raised
            except BaseException as raised:  # noqa: BLE001
                interrupted.append(raised)
                tally.stop()
                return
            is_in_time = tally.end(number, error)

    threads = [threading.Thread(target=work, name=f"load {one}", daemon=True) for one in range(concurrency)]
    for thread in threads:
        thread.start()
    try:
        _join(threads, tally, interrupted)
    except BaseException as error:
        interrupted.append(error)
        tally.stop()
        raise
    if interrupted:
        raise interrupted[0]
    return tally.load()


def _join(threads: Sequence[threading.Thread], tally: _Tally, interrupted: Sequence[BaseException]) -> None:
    """Waits until all callers have ended, one was interrupted, or the calls of the others are all late."""
    for thread in threads:
        while thread.is_alive() and not interrupted:
            rest_s = tally.rest_s()
            if rest_s is not None and rest_s <= 0:
                return
            thread.join(_LOOK_S if rest_s is None else min(rest_s, _LOOK_S))


async def load_async(
    n: int,
    function: Callable[[int], Awaitable[Any]],
    *,
    concurrency: int = 10,
    timeout: float = 30.0,  # noqa: ASYNC109
    progress: TextIO | None = sys.stderr,
) -> Load:
    """Does what `load` does, with a coroutine function as tasks of the running loop.

    Late calls are cancelled.
    """
    tally = _Tally(n, concurrency, timeout, progress)

    async def work() -> None:
        is_in_time = True
        while is_in_time and (number := tally.begin()) is not None:
            error: BaseException | None = None
            limit = asyncio.timeout(timeout)
            try:
                async with limit:
                    await function(number)
            except Exception as raised:  # noqa: BLE001
                error = raised
            is_in_time = tally.end(number, error, is_late=limit.expired())

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return tally.load()
