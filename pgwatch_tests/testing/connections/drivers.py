"""The drivers of a suite, hooked once it has imported them, until the end of its session."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pgwatch_tests.testing import findings
from pgwatch_tests.testing.connections.commits import Commits
from pgwatch_tests.testing.connections.sessions import DriverHooks
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.plain_text import plain

_HOOKS = {
    # The module that the suite imports: where its hooks are.
    "psycopg": ("psycopg_hooks", "PsycopgHooks"),
    "asyncpg": ("asyncpg_hooks", "AsyncpgHooks"),
    "psycopg2": ("psycopg2_hooks", "Psycopg2Hooks"),
    "sqlalchemy": ("sqlalchemy_hooks", "SqlalchemyHooks"),
    "psycopg_pool": ("pool_hooks", "PsycopgPoolHooks"),
}

_LOOKS, _BETWEEN_LOOKS_S = 5, 0.01


class Drivers:
    """The hooks in all drivers that are imported; `look` puts them in, `remove` takes them out."""

    def __init__(self, commits: Commits, warn: Callable[[str], None], runner: str = "pytest") -> None:
        """`warn` is told, once for each driver, what of it couldn't be hooked."""
        self._commits = commits
        self._warn = warn
        self._runner = runner
        self._waiting = dict(_HOOKS)
        self.hooks: list[DriverHooks[Any]] = []

    def look(self) -> None:
        """Hooks the drivers that were imported since the last look; costs nothing once all are hooked."""
        if not self._waiting:
            return
        for module in [name for name in self._waiting if name in sys.modules]:
            file, name = self._waiting.pop(module)
            self._hook(module, file, name)

    def _hook(self, driver: str, file: str, name: str) -> None:
        try:
            make = getattr(import_module(f"{__package__}.{file}"), name)
            hooks: DriverHooks[Any] = make(self._commits, self._runner)
            hooks.drivers = self.hooks
            hooks.install()
            self.hooks.append(hooks)
            missing = hooks.missing
        except Exception as error:  # noqa: BLE001
            # Whatever a version to come has changed, the suite runs on.
            missing = (f"{type(error).__name__}: {error}",)
        if missing:
            self._warn(
                f"{driver} has changed ({', '.join(missing)}): not all sessions are named after their test, "
                "and not all commits are put down to it"
            )

    def tell_open_transactions(self, owner: Owner) -> None:
        """Tells the transactions that a test, or a fixture, has left open at its end. Asks no server.

        A thread of the test's that is at work between two statements gets a moment to end its own.
        """
        for _ in range(_LOOKS):
            left = [session for hooks in self.hooks for session in hooks.left_open(owner)]
            if not left:
                return
            time.sleep(_BETWEEN_LOOKS_S)
        for session in left:
            session.is_told_open = True
            tables = sorted({written.table for written in session.written if written.table})
            wrote = f", which wrote to {', '.join(map(plain, tables))}" if tables else ""
            findings.tell(
                Finding(
                    "open_transaction",
                    owner,
                    f"left a transaction open in {session.database.name}{wrote}: it keeps its locks",
                    "commit it or roll it back, and close its connection, before the test ends",
                    tuple(tables),
                )
            )

    def remove(self) -> None:
        """Takes all hooks out."""
        self._waiting.clear()
        for hooks in reversed(self.hooks):
            hooks.remove()
