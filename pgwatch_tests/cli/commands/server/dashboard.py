"""`pgwatch-tests dashboard`, and `pgwatch-tests` alone: the dashboard on a live server."""

from __future__ import annotations

import asyncio
import gc
from contextlib import closing, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pgwatch_tests.cli import options
from pgwatch_tests.settings.load import Flags, Settings
from pgwatch_tests.tui.terminal.stream import is_interactive

if TYPE_CHECKING:
    from pgwatch_tests.locks.model import LockSnapshot
    from pgwatch_tests.tui.terminal.first_picture import FirstPicture

_VALUES_BEFORE_GARBAGE = 20_000
_FIRST_ANSWER_WITHIN_S = 0.15
"""A server that takes longer is waited for while the screen is loaded."""


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
    same is printed once as text. Keys: ? shows them, q leaves. Exit code 3 if there is no connection then.
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

    A connection that can't be made is told on the screen and tried again; if there is still none when the
    dashboard is left, raises what the last attempt raised.
    """
    # What is loaded stays: looking for garbage in it costs a tenth of the start.
    gc.disable()
    return asyncio.run(_watch(settings, seconds, theme, shows_tips=shows_tips))


async def _watch(settings: Settings, seconds: float | None, theme: str | None, *, shows_tips: bool) -> int:
    from pgwatch_tests.locks.snapshot.live_source import LiveSource

    async with LiveSource(settings) as source:
        first = asyncio.create_task(source.read())
        # Beside the loop, which connects meanwhile.
        await asyncio.to_thread(import_module, "pgwatch_tests.tui.terminal.first_picture")
        from pgwatch_tests.cli.runs.dashboard import preferences
        from pgwatch_tests.tui.terminal.first_picture import FirstPicture
        from pgwatch_tests.tui.widgets.header_figures import live_manner

        preferred = preferences.user_file()
        refresh_s = preferences.refresh_s(preferred, settings)
        manner = live_manner(refresh_s, is_read_only=settings.read_only)
        with FirstPicture(manner) as picture:
            first.add_done_callback(partial(_show, picture))
            await asyncio.wait({first}, timeout=_FIRST_ANSWER_WITHIN_S)
            # Most of the start is spent here.
            await asyncio.to_thread(import_module, "pgwatch_tests.tui.app")
            from pgwatch_tests.cli.runs.dashboard.counted_database import CountedDatabase
            from pgwatch_tests.cli.runs.dashboard.live_server import LiveServer
            from pgwatch_tests.cli.runs.dashboard.sweeps import DashboardSweeps
            from pgwatch_tests.errors import NoAnswerError
            from pgwatch_tests.text.plain_text import plain
            from pgwatch_tests.tui.app import Dashboard
            from pgwatch_tests.tui.database_desk import DatabaseDesk
            from pgwatch_tests.tui.terminal.graceful_exit import run_until_left

            gc.freeze()
            # A poll of hundreds of sessions makes thousands of values, of which none is in a cycle.
            gc.set_threshold(_VALUES_BEFORE_GARBAGE)
            gc.enable()
            loop = asyncio.get_running_loop()

            def warn(text: str) -> None:
                tell = partial(app.notify, plain(text), severity="warning", markup=False)
                # RuntimeError: the loop is closed, since the dashboard was left.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(tell)

            with closing(DashboardSweeps(settings, warn)) as sweeps:
                counted = CountedDatabase(settings, sweeps.use)
                server = LiveServer(source, settings, counted, first)
                app = Dashboard(
                    server.read_locks,
                    server.read_leaks,
                    glance=server.glance,
                    act=None if settings.read_only else server.act,
                    read_held=source.held_locks,
                    read_rights=source.signal_rights,
                    sweeps=sweeps.desk(),
                    read_leaked=server.read_leaked,
                    databases=DatabaseDesk(counted.names, lambda: counted.name, counted.switch),
                    refresh_s=refresh_s,
                    preferences=preferences.preferences(preferred, settings.dashboard, theme),
                    shows_tips=shows_tips,
                )
                picture.hand_over(app)
                if seconds is not None:
                    loop.call_later(seconds, app.exit, 0)
                exit_code = await run_until_left(app)
                failure = app.failure
                if failure is None and app.data.newest is None:
                    failure = NoAnswerError(
                        "cannot connect: the dashboard was left before the server answered"
                    )
    if failure is not None and not exit_code:
        raise failure
    return exit_code


def _show(picture: FirstPicture, answered: asyncio.Task[LockSnapshot]) -> None:
    if not answered.cancelled() and answered.exception() is None:
        picture.show(answered.result())
