"""`race`: a function called n times at once, from one barrier."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from pgwatch_tests.testing.races.outcomes import Outcome, Outcomes, check_not_async, not_ended

T = TypeVar("T")


def race(
    n: int, function: Callable[..., T], *, args: Iterable[Sequence[Any]] | None = None, timeout: float = 30.0
) -> Outcomes[T]:
    """Calls a function `n` times at once, each in a thread of its own, and returns what came back.

    `args` are the arguments of each call, if it has any. The threads begin together, from a barrier. What
    they connect to should be warm, such as a pool that has `n` connections open: whoever connects first
    comes late, and `overlap` tells. Calls that haven't ended after `timeout` seconds have a TimeoutError as
    their outcome; their threads are daemons. Raises ValueError if `args` aren't `n`, and TypeError for a
    coroutine function.
    """
    check_not_async(function, "race")
    each = _arguments(n, args)
    outcomes: list[Outcome[T] | None] = [None] * n
    barrier = threading.Barrier(n)
    began = time.perf_counter()

    def call(number: int) -> None:
        barrier.wait()
        started = time.perf_counter() - began
        try:
            value = function(*each[number])
        except BaseException as error:  # noqa: BLE001
            outcomes[number] = Outcome(error=error, started_s=started, ended_s=time.perf_counter() - began)
        else:
            outcomes[number] = Outcome(value, started_s=started, ended_s=time.perf_counter() - began)

    threads = [
        threading.Thread(target=call, args=(number,), name=f"race {number}", daemon=True)
        for number in range(n)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + timeout - time.perf_counter()))
    return _gathered(outcomes, timeout)


async def race_async(
    n: int,
    function: Callable[..., Awaitable[T]],
    *,
    args: Iterable[Sequence[Any]] | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109
) -> Outcomes[T]:
    """Does what `race` does, as tasks of the running loop; those that are late are cancelled."""
    each = _arguments(n, args)
    outcomes: list[Outcome[T] | None] = [None] * n
    go = asyncio.Event()
    began = time.perf_counter()

    async def call(number: int) -> None:
        await go.wait()
        started = time.perf_counter() - began
        try:
            value = await function(*each[number])
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001
            outcomes[number] = Outcome(error=error, started_s=started, ended_s=time.perf_counter() - began)
        else:
            outcomes[number] = Outcome(value, started_s=started, ended_s=time.perf_counter() - began)

    tasks = [asyncio.create_task(call(number)) for number in range(n)]
    go.set()
    try:
        await asyncio.wait(tasks, timeout=timeout)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return _gathered(outcomes, timeout)


def _arguments(n: int, args: Iterable[Sequence[Any]] | None) -> Sequence[Sequence[Any]]:
    if n < 1:
        raise ValueError(f"a race takes at least 1 call, not {n}")
    each: Sequence[Sequence[Any]] = [()] * n if args is None else list(islice(args, n + 1))
    if len(each) != n:
        more = "more" if len(each) > n else len(each)
        raise ValueError(f"{n} calls need {n} lists of arguments, not {more}")
    return each


def _gathered(outcomes: Sequence[Outcome[T] | None], timeout: float) -> Outcomes[T]:
    late: Outcome[T] = Outcome(error=TimeoutError(not_ended(timeout)), ended_s=timeout)
    return Outcomes(tuple(late if one is None else one for one in outcomes))
