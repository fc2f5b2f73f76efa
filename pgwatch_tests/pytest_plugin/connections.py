"""The connections of a session's tests: drivers and HTTP clients are hooked once the suite imports them."""

from __future__ import annotations

import os
import secrets
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pgwatch_tests.identity.application_name import compose
from pgwatch_tests.pytest_plugin.blocking.limit_options import time_limits
from pgwatch_tests.testing.connections.drivers import Drivers
from pgwatch_tests.testing.connections.left_sessions import LeftSessions
from pgwatch_tests.testing.connections.sessions import DriverHooks
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.http.clients import HttpClients
from pgwatch_tests.testing.http.header import SECRET_VARIABLE
from pgwatch_tests.testing.http.server_journal import JOURNAL_VARIABLE

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

_NAME_VARIABLE = "PGAPPNAME"


class Connections:
    """Hooks drivers and clients, and hands the run to the processes that tests start."""

    def __init__(self, active: ActivePlugin) -> None:
        self._drivers = Drivers(active.commits, _warn, limits=time_limits(active.config))
        self._clients = HttpClients(_warn)
        self._awaited: frozenset[str] = frozenset()
        """The modules that are hooked once the suite imports them."""
        self._is_thawed = False
        self._environment = {name: os.environ.get(name) for name in (*_VARIABLES, _NAME_VARIABLE)}
        self._names_programs = self._environment[_NAME_VARIABLE] is None
        # Workers of pytest-xdist inherit the controller's.
        os.environ.setdefault(SECRET_VARIABLE, secrets.token_hex(16))
        os.environ[JOURNAL_VARIABLE] = str(Path(active.shared.log_directory) / active.shared.session)
        active.began.append(self._begin)
        active.prepared.append(self._look_again)
        active.ended.append(self._end)

    @property
    def hooks(self) -> Sequence[DriverHooks[Any]]:
        """The hooks in the drivers that the suite has imported."""
        return self._drivers.hooks

    def _look(self) -> None:
        self._drivers.look()
        self._clients.look()
        if not self._is_thawed and "freezegun" in sys.modules:
            self._is_thawed = True
            _thaw()
        frozen = () if self._is_thawed else ("freezegun",)
        self._awaited = frozenset((*self._drivers.awaited, *self._clients.awaited, *frozen))

    def _look_again(self) -> None:
        """Hooks what the test before, or this one's fixtures, have imported."""
        if not sys.modules.keys().isdisjoint(self._awaited):
            self._look()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Hooks what is imported by now."""
        self._look()

    def pytest_collection_finish(self) -> None:
        """Looks again: tests have imported more."""
        self._look()

    def pytest_sessionfinish(self) -> None:
        """Looks at the sessions that are left, and takes the hooks out."""
        LeftSessions(self._drivers.hooks).tell()
        self._clients.remove()
        self._drivers.remove()

    def pytest_unconfigure(self) -> None:
        """Leaves the environment as it was."""
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _begin(self, owner: Owner) -> None:
        """Names the sessions of programs that a test starts, if they use libpq and have no name."""
        if owner.kind == "test":
            if self._names_programs:
                os.environ[_NAME_VARIABLE] = compose("pytest", owner.worker, owner.name)
            self._look_again()

    def _end(self, owner: Owner) -> None:
        if owner.kind == "test" and self._names_programs:
            with suppress(KeyError):
                del os.environ[_NAME_VARIABLE]


_VARIABLES = (SECRET_VARIABLE, JOURNAL_VARIABLE)


_DEADLINES = tuple(
    f"pgwatch_tests.{room}"
    for room in (
        "embedded",
        "leaks",
        "locks",
        "postgres",
        "pytest_plugin.blocking",
        "pytest_plugin.verdicts",
        "sweep",
    )
)
"""Where deadlines are. No code of a suite is called from there: it would see the real time, too."""


def _thaw() -> None:
    """Has freezegun leave the time alone in what has deadlines: they would never come."""
    import freezegun

    freezegun.configure(extend_ignore_list=list(_DEADLINES))


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=1)
