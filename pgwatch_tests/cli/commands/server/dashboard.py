"""`pgwatch-tests dashboard`, and `pgwatch-tests` alone: the dashboard on a live server."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from contextlib import closing, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options
from pgwatch_tests.cli.runs.daemon_thread import in_daemon_thread
from pgwatch_tests.settings.load import Flags, Settings

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import FoundRows, LeakReport
    from pgwatch_tests.locks.actions.action import Action, Outcome
    from pgwatch_tests.locks.model import LockSnapshot


@click.command("dashboard")
@options.dsn
@click.option("--refresh", type=float, metavar="SECONDS", help="How often to poll while nothing is blocked.")
@click.option("--once", is_flag=True, help="Print locks and leaks once, as text, and end.")
@options.tests
@options.read_only
@click.option(
    "--theme",
    metavar="NAME",
    envvar="PGWATCH_THEME",
    help="Colours: pgwatch-dark, pgwatch-light, or another of those that ctrl+p lists.",
)
@click.pass_context
def command(
    ctx: click.Context,
    dsn: str | None,
    refresh: float | None,
    once: bool,
    tests: Path | None,
    read_only: bool,
    theme: str | None,
) -> None:
    """Watch locks, sessions and leaks in the terminal, and sweep.

    While something is blocked, the server is polled every 0.25 to 0.5 s. Where stdout is no terminal, the
    same is printed once as text. Keys: ? shows them, q leaves.
    """
    settings = options.settings(Flags(dsn=dsn, refresh_s=refresh, tests=tests, read_only=read_only))
    if once or not is_interactive():
        from pgwatch_tests.cli.runs.snapshot import print_snapshot

        print_snapshot(settings)
        return
    ctx.exit(run_dashboard(settings, theme=theme))


def run_dashboard(
    settings: Settings, seconds: float | None = None, *, theme: str | None = None, shows_tips: bool = False
) -> int:
    """Opens the dashboard; returns its exit code. With `seconds` it ends by itself after so many.

    `theme` is stronger than what project and user prefer; tips say what there is to look at.

    A connection that can't be made is told on the screen and tried again.
    """
    # What is loaded stays: looking for garbage in it costs a tenth of the start.
    gc.disable()
    from pgwatch_tests.errors import CannotConnectError, NotCheckedError
    from pgwatch_tests.locks.naming.catalog_lookups import LIMITS
    from pgwatch_tests.locks.snapshot.live_source import LiveSource

    async def run() -> int:
        async with LiveSource(settings) as source:
            # The server's first answer is under way while Python loads the screen, which takes as long.
            under_way = [asyncio.create_task(source.read())]
            await asyncio.to_thread(import_module, "pgwatch_tests.tui.app")
            from pgwatch_tests.cli.runs.dashboard import preferences as dashboard_preferences
            from pgwatch_tests.cli.runs.dashboard.counted_database import CountedDatabase
            from pgwatch_tests.cli.runs.dashboard.seen_names import SeenNames
            from pgwatch_tests.cli.runs.dashboard.sweeps import DashboardSweeps
            from pgwatch_tests.text.plain_text import plain
            from pgwatch_tests.tui.app import Dashboard
            from pgwatch_tests.tui.database_desk import DatabaseDesk
            from pgwatch_tests.tui.graceful_exit import run_until_left

            gc.freeze()
            gc.enable()

            async def read_locks() -> LockSnapshot:
                snapshot = await (under_way.pop() if under_way else source.read())
                seen.add(snapshot)
                return snapshot

            async def read_leaks() -> LeakReport:
                if source.is_wanted and counted.settings is settings:
                    raise NotCheckedError(
                        "the database is being dropped, altered or copied: counted after that"
                    )
                # A scan's own attempt to connect ends with the scan, and may leave a waiting backend behind.
                await source.attempts.probe(LIMITS)
                from pgwatch_tests.leaks.gate import DEFAULT_KINDS
                from pgwatch_tests.leaks.scan import LeakScan

                scan = LeakScan(counted.settings, kinds=DEFAULT_KINDS, names=seen.all)
                try:
                    return await in_daemon_thread(scan.run, "leak scan")
                except asyncio.CancelledError:
                    scan.cancel()
                    raise

            async def read_leaked(table: str) -> FoundRows:
                if source.is_wanted and counted.settings is settings:
                    raise NotCheckedError("the database is being dropped, altered or copied: read after that")
                await source.attempts.probe(LIMITS)
                from pgwatch_tests.leaks.found_rows import FoundRowsReader

                reader = FoundRowsReader(counted.settings, table, seen.all)
                try:
                    return await in_daemon_thread(reader.run, "leaked rows")
                except asyncio.CancelledError:
                    reader.cancel()
                    raise

            async def do(action: Action) -> Outcome:
                from pgwatch_tests.locks.actions.execution import act

                try:
                    return await act(settings, action)
                except CannotConnectError:
                    # With no place left on the server, the poll's own has to do.
                    async with source.standing_aside():
                        return await act(settings, action)

            seen = SeenNames()
            loop = asyncio.get_running_loop()

            def warn(text: str) -> None:
                tell = partial(app.notify, plain(text), severity="warning", markup=False)
                # RuntimeError: the loop is closed, since the dashboard was left.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(tell)

            preferred = dashboard_preferences.user_file()
            with closing(DashboardSweeps(settings, warn)) as sweeps:
                counted = CountedDatabase(settings, sweeps.use)
                app = Dashboard(
                    read_locks,
                    read_leaks,
                    act=None if settings.read_only else do,
                    read_held=source.held_locks,
                    sweeps=sweeps.desk(),
                    read_leaked=read_leaked,
                    databases=DatabaseDesk(counted.names, lambda: counted.name, counted.switch),
                    refresh_s=dashboard_preferences.refresh_s(preferred, settings),
                    preferences=dashboard_preferences.preferences(preferred, settings.dashboard, theme),
                    shows_tips=shows_tips,
                )
                if seconds is not None:
                    loop.call_later(seconds, app.exit, 0)
                return await run_until_left(app)

    return asyncio.run(run())


def is_interactive() -> bool:
    """Whether a dashboard can be shown: in a browser, or on a terminal.

    There it reads from stdin and draws through stderr, as Textual does.
    """
    if os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver"):
        return True
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
