"""One look at a server as text: for `locks`, `--once`, and wherever stdout is no terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pgwatch_tests.cli.options import emit
from pgwatch_tests.config import Settings
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.watch import LockWatch

Part = Literal["locks", "leaks"]


def read_locks(settings: Settings) -> LockSnapshot:
    """One settled snapshot. Raises what LockWatch.read_twice raises."""

    found: list[LockSnapshot] = []

    async def look() -> None:
        # Not as its result: asyncio.run, restoring SIGINT's handler, puts that in words, which for a
        # queue of hundreds takes seconds.
        async with LockWatch(settings) as watch:
            found.append(await watch.read_twice())

    asyncio.run(look())
    return found[0]


def print_snapshot(
    settings: Settings, what: Collection[Part] = ("locks", "leaks"), output: Path | None = None
) -> None:
    """Prints the lock tree, the leak table, or both."""
    from pgwatch_tests.leaks.count import scan
    from pgwatch_tests.reports import leak_table, lock_tree

    texts = []
    if "locks" in what:
        texts.append(lock_tree.text(read_locks(settings)))
    if "leaks" in what:
        texts.append(leak_table.table(scan(settings)))
    emit("\n".join(texts), output)
