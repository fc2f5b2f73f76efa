"""Work in a thread, awaited from an event loop that may end before it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T], name: str) -> T:
    """The result of `work`, run in a thread that nobody waits for when the program ends."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[], None]) -> None:
        if not outcome.done():
            set_outcome()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits for the outcome
            _tell(loop, settle, partial(outcome.set_exception, error))
        else:
            _tell(loop, settle, partial(outcome.set_result, result))

    threading.Thread(target=run, daemon=True, name=name).start()
    return await outcome


def _tell(
    loop: asyncio.AbstractEventLoop,
    settle: Callable[[Callable[[], None]], None],
    set_outcome: Callable[[], None],
) -> None:
    # RuntimeError: the loop is closed, since the dashboard was left.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle, set_outcome)
