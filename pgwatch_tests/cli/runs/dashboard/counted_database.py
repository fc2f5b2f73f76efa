"""The database whose leaks the dashboard counts and sweeps: the tested one, until another is picked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pgwatch_tests.cli.runs.daemon_thread import in_daemon_thread
from pgwatch_tests.postgres.connections.dsn import database_name, in_database
from pgwatch_tests.settings.load import Settings


class CountedDatabase:
    """The settings that lead to the counted database. `told` is given the settings of each other one."""

    def __init__(self, settings: Settings, told: Callable[[Settings], None]) -> None:
        self._told = told
        self.settings = settings

    @property
    def name(self) -> str:
        """Its name; empty where neither the DSN nor the environment tells it."""
        return database_name(self.settings.dsn) or ""

    def switch(self, name: str) -> None:
        """Counts in the database of that name from now on."""
        self.settings = replace(self.settings, dsn=in_database(self.settings.dsn, name))
        self._told(self.settings)

    async def names(self) -> tuple[str, ...]:
        """The server's databases that take connections, templates left out.

        Raises CannotConnectError, and NotCheckedError if the server doesn't say.
        """
        from pgwatch_tests.leaks.many_databases import choose_any, databases_of

        found = await in_daemon_thread(lambda: databases_of(self.settings), "databases")
        return choose_any(found, ["*"]).names
