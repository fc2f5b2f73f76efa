"""`load`: a function called many times by a few callers, and how long the calls took."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TextIO

from pgwatch_tests.testing.races.latencies import histogram, in_milliseconds, percentile
from pgwatch_tests.testing.races.outcomes import check_not_async, error_name
from pgwatch_tests.text.numbers import plural

_FIRST_LINE_S = 1.0


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

    @property
    def calls(self) -> int:
        """How many calls there were."""
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
        if self.durations_s:
            shares = ", ".join(
                f"{name} {in_milliseconds(self.percentile(share))}"
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
            )
            lines += [f"latency: {shares}", histogram(self.durations_s)]
        return "\n".join(lines)


class _Tally:
    """Counts calls, and tells how many there were once a second."""

    def __init__(self, n: int, concurrency: int, progress: TextIO | None) -> None:
        self._n, self._concurrency, self._progress = n, concurrency, progress
        self._lock = threading.Lock()
        self._durations: list[float] = []
        self._failures: Counter[str] = Counter()
        self._began = time.perf_counter()
        self._next_line = self._began + _FIRST_LINE_S

    def ended(self, began: float, error: BaseException | None) -> None:
        now = time.perf_counter()
        with self._lock:
            if error is None:
                self._durations.append(now - began)
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

    def load(self) -> Load:
        elapsed = time.perf_counter() - self._began
        failures = tuple(self._failures.most_common())
        return Load(len(self._durations), failures, tuple(self._durations), elapsed, self._concurrency)


def load(
    n: int, function: Callable[[int], Any], *, concurrency: int = 10, progress: TextIO | None = sys.stderr
) -> Load:
    """Calls `function(number)` for all numbers below `n`, by `concurrency` threads; returns the results.

    What a call raises counts as a failure. A line a second goes to `progress`, from the first second on.
    Raises TypeError for a coroutine function.
    """
    check_not_async(function, "load")
    numbers, tally = _numbers(n, concurrency), _Tally(n, concurrency, progress)
    lock = threading.Lock()
    interrupted: list[BaseException] = []

    def work() -> None:
        while not interrupted:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            began = time.perf_counter()
            error: BaseException | None = None
            try:
                function(number)
            except Exception as raised:  # noqa: BLE001
                error = raised
            except BaseException as raised:  # noqa: BLE001
                interrupted.append(raised)
                return
            tally.ended(began, error)

    threads = [threading.Thread(target=work, name=f"load {one}", daemon=True) for one in range(concurrency)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:
        interrupted.append(error)
        raise
    if interrupted:
        raise interrupted[0]
    return tally.load()


async def load_async(
    n: int,
    function: Callable[[int], Awaitable[Any]],
    *,
    concurrency: int = 10,
    progress: TextIO | None = sys.stderr,
) -> Load:
    """Does what `load` does, with a coroutine function as tasks of the running loop."""
    numbers, tally = _numbers(n, concurrency), _Tally(n, concurrency, progress)

    async def work() -> None:
        for number in numbers:
            began = time.perf_counter()
            error: BaseException | None = None
            try:
                await function(number)
            except Exception as raised:  # noqa: BLE001
                error = raised
            tally.ended(began, error)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return tally.load()


def _numbers(n: int, concurrency: int) -> Iterator[int]:
    if n < 1 or concurrency < 1:
        raise ValueError(f"load takes at least 1 call and 1 caller, not {n} and {concurrency}")
    numbers = count()
    return iter(lambda: min(next(numbers), n), n)
