"""Workers of the dashboard: the tasks that run beside its messages, and end with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.dom import DOMNode
from textual.worker import Worker


def start_worker(
    node: DOMNode, work: Callable[[], Awaitable[None]], group: str, *, exclusive: bool = False
) -> Worker[None]:
    """Starts `work` in a worker that ends with `node`; with `exclusive`, it ends the others of its group.

    Takes a callable, never a coroutine: a worker that is cancelled before its first step calls nothing, and
    a coroutine made ahead would stay behind unawaited. An error of `work` ends the dashboard.
    """

    async def run() -> None:
        await work()

    return node.run_worker(run, name=group, group=group, exclusive=exclusive)
