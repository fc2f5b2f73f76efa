"""A limit on this side: a server that is stopped, or stuck in its lock manager, ignores its own timeouts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

from pgwatch_tests.errors import ConnectionLostError

T = TypeVar("T")


async def within(deadline_s: float, work: Coroutine[None, None, T], hang_up: Callable[[], None]) -> T:
    """The result of `work` over a connection that `hang_up` closes at once.

    Raises ConnectionLostError after `deadline_s` seconds; then, and if the caller is cancelled, the
    connection is closed.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
    except asyncio.CancelledError:
        _abandon(task, hang_up)
        raise
    if not done:
        _abandon(task, hang_up)
        raise ConnectionLostError(f"the server hasn't answered for {deadline_s:g} s")
    return task.result()


def _abandon(task: asyncio.Task[T], hang_up: Callable[[], None]) -> None:
    # Closed first: with the connection still active, psycopg would wait for the server's farewell.
    hang_up()
    task.cancel()
