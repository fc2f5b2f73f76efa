"""The drivers of a suite, hooked once it has imported them, until the end of its session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

from pgwatch_tests.testing.connections.commits import Commits
from pgwatch_tests.testing.connections.sessions import DriverHooks
from pgwatch_tests.testing.connections.time_limits import NO_LIMITS, TimeLimits

_HOOKS = {
    # The module that the suite imports: where its hooks are.
    "psycopg": ("psycopg_hooks", "PsycopgHooks"),
    "asyncpg": ("asyncpg_hooks", "AsyncpgHooks"),
    "psycopg2": ("psycopg2_hooks", "Psycopg2Hooks"),
    "sqlalchemy": ("sqlalchemy_hooks", "SqlalchemyHooks"),
    "psycopg_pool": ("pool_hooks", "PsycopgPoolHooks"),
    "django.db.models": ("django_hooks", "DjangoHooks"),
}


_hooked: list[Drivers] = []


def are_hooked() -> bool:
    """Whether the drivers of this process are hooked already."""
    return bool(_hooked)


class Drivers:
    """The hooks in all drivers that are imported; `look` puts them in, `remove` takes them out."""

    def __init__(
        self,
        commits: Commits,
        warn: Callable[[str], None],
        runner: str = "pytest",
        limits: TimeLimits = NO_LIMITS,
    ) -> None:
        """`warn` is told, once for each driver, what of it couldn't be hooked."""
        self._commits = commits
        self._warn = warn
        self._runner = runner
        self._limits = limits
        self._waiting = dict(_HOOKS)
        self.hooks: list[DriverHooks[Any]] = []

    @property
    def awaited(self) -> Collection[str]:
        """The modules that the suite hasn't imported yet."""
        return self._waiting

    def look(self) -> None:
        """Hooks the drivers that were imported since the last look."""
        if self._waiting and self not in _hooked:
            _hooked.append(self)
        for module in [name for name in self._waiting if name in sys.modules]:
            file, name = self._waiting.pop(module)
            self._hook(module, file, name)

    def _hook(self, driver: str, file: str, name: str) -> None:
        try:
            make = getattr(import_module(f"{__package__}.hooks.{file}"), name)
            hooks: DriverHooks[Any] = make(self._commits, self._runner, self._limits)
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

    def remove(self) -> None:
        """Takes all hooks out."""
        self._waiting.clear()
        if self in _hooked:
            _hooked.remove(self)
        for hooks in reversed(self.hooks):
            hooks.remove()
