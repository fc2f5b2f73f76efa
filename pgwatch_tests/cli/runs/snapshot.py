"""Prints one look at a server as text: for `locks`, `--once`, and wherever stdout is no terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pgwatch_tests.cli.options import emit, narrate
from pgwatch_tests.leaks.gate import DEFAULT_KINDS
from pgwatch_tests.locks.gate import look_again_in_s
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Settings

SnapshotPart = Literal["locks", "leaks"]

POOLED = "a connection pooler is in between: this shows the server's sessions, not the pooler's clients"
"""What is said of a snapshot that came through one."""

_WORTH_TELLING_S = 1.0


def read_locks(settings: Settings, min_wait_s: float | None = None) -> LockSnapshot:
    """One settled snapshot; with `min_wait_s` one that tells whether each wait has lasted that long.

    Raises what LiveSource.read_twice raises.
    """
    told = False

    def look_again(first: LockSnapshot, last: LockSnapshot) -> float | None:
        nonlocal told
        if min_wait_s is None:
            return None
        pause_s = look_again_in_s(first, last, min_wait_s)
        if pause_s is not None and min_wait_s > _WORTH_TELLING_S and not told:
            told = True
            narrate(f"the server doesn't tell how long a session has waited: watching for {min_wait_s:g} s")
        return pause_s

    snapshots: list[LockSnapshot] = []

    async def look() -> None:
        # Not as its result: asyncio.run, restoring SIGINT's handler, puts that in words, which for a
        # queue of hundreds takes seconds.
        async with LiveSource(settings) as source:
            snapshots.append(await source.read_twice(look_again))
            # Whatever connects next may need the place.
            await source.close_and_wait()

    asyncio.run(look())
    if snapshots[0].pooled:
        narrate(POOLED)
    return snapshots[0]


def print_snapshot(
    settings: Settings, what: Collection[SnapshotPart] = ("locks", "leaks"), output: Path | None = None
) -> None:
    """Prints the verdict and the lock tree, the leak table, or both."""
    from pgwatch_tests.leaks.scan import scan
    from pgwatch_tests.reports.leaks import leak_table
    from pgwatch_tests.reports.locks import lock_tree
    from pgwatch_tests.reports.verdict.verdict import LOCKS_ONLY, Facts

    snapshot = read_locks(settings) if "locks" in what else None
    leaks = scan(settings, kinds=DEFAULT_KINDS) if "leaks" in what else None
    facts = LOCKS_ONLY if leaks is None else Facts(leaks)
    texts = [] if snapshot is None else [lock_tree.text(snapshot, facts)]
    texts += [] if leaks is None else [leak_table.table(leaks)]
    emit("\n".join(texts), output)
