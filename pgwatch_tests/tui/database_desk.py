"""The databases of a live server: picked for what is shown, and for what is counted and swept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import App

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.tui.actions import tell
from pgwatch_tests.tui.workers import start_worker

if TYPE_CHECKING:
    from pgwatch_tests.tui.screens.databases import DatabaseChoice


@dataclass(frozen=True, slots=True)
class DatabaseDesk:
    """What the picker works with. `names` may raise PgwatchError."""

    names: Callable[[], Awaitable[tuple[str, ...]]]
    """The databases that sessions can be in, in any order."""
    counted: Callable[[], str]
    """The database whose leaks are counted; empty while that isn't known."""
    count: Callable[[str], None]
    """Counts, and sweeps, in another database from now on."""


def pick_database(
    app: App[int],
    desk: DatabaseDesk,
    snapshot: LockSnapshot | None,
    chosen: Callable[[DatabaseChoice], None],
) -> None:
    """Asks for a database once the server has told which there are; calls `chosen` if one was picked."""

    async def ask() -> None:
        try:
            names = await desk.names()
        except PgwatchError as error:
            tell(app, f"The databases can't be listed: {error}", failed=True)
            return

        def answered(choice: DatabaseChoice | None) -> None:
            if choice is not None:
                chosen(choice)

        from pgwatch_tests.tui.screens.databases import DatabasesScreen

        if len(app.screen_stack) == 1:
            app.push_screen(DatabasesScreen(names, desk.counted(), snapshot), answered)

    start_worker(app, ask, "databases", exclusive=True)
