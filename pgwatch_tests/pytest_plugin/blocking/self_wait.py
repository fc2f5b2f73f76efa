"""A test that waits for itself: one of its sessions wants a lock that another one of its own holds. Pure.

To the server that is no deadlock: the session that holds the lock waits for nobody, but its test does.
"""

from __future__ import annotations

from pgwatch_tests.locks.watch.wait_history import SeenWait
from pgwatch_tests.pytest_plugin.blocking.words import TestNames
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import one_line, plain

LASTS_S = 0.9
"""Whoever waits that long for itself, waits for good, as a rule: two threads of a test may go on."""
_STATEMENT_CHARACTERS = 120


def self_wait(owner: Owner, names: TestNames, seen: SeenWait) -> Finding | None:
    """Returns the finding; None if the wait is for somebody else, or was short.

    It fails no test: one that hangs fails by itself, and one that goes on has shown that it can.
    """
    wait = seen.wait
    if not names.is_own(wait) or seen.waited_s < LASTS_S:
        return None
    holder = next(side for side in (*wait.blockers, *wait.roots) if side.name == wait.waiter.name)
    return Finding(
        "self_wait",
        owner,
        f"{owner.name} waited {durations.in_words(seen.waited_s)} for itself: its session pid "
        f"{wait.waiter.pid} wanted {plain(wait.target)} in {_quoted(wait.waiter.statement)}, and its session "
        f"pid {holder.pid} held it, {plain(holder.state or 'in a state that is hidden')} after "
        f"{_quoted(holder.statement)}",
        "use one connection, or end its transaction before the other connection needs the lock",
        fails=False,
    )


def _quoted(statement: str) -> str:
    return f"`{plain(one_line(statement), _STATEMENT_CHARACTERS)}`" if statement else "a hidden statement"
