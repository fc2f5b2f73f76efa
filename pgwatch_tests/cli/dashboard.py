"""`pgwatch-tests dashboard`, and `pgwatch-tests` alone: the dashboard on a live server."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import click

from pgwatch_tests.cli import options
from pgwatch_tests.config import Flags, Settings

if TYPE_CHECKING:
    from pgwatch_tests.leaks.model import LeakReport
    from pgwatch_tests.locks.action import Action, Outcome
    from pgwatch_tests.locks.model import LockSnapshot

T = TypeVar("T")


@click.command("dashboard")
@options.dsn
@click.option("--refresh", type=float, metavar="SECONDS", help="How often to poll while nothing is blocked.")
@click.option("--once", is_flag=True, help="Print locks and leaks once, as text, and end.")
@options.read_only
@click.pass_context
def command(ctx: click.Context, dsn: str | None, refresh: float | None, once: bool, read_only: bool) -> None:
    """Watch locks, sessions and leaks in the terminal.

    While something is blocked, the server is polled every 0.25 to 0.5 s. Where stdout is no terminal, the
    same is printed once as text. Keys: ? shows them, q leaves.
    """
    settings = options.settings(Flags(dsn=dsn, refresh_s=refresh, read_only=read_only))
    if once or not is_interactive():
        from pgwatch_tests.cli.snapshot import print_snapshot

        print_snapshot(settings)
        return
    ctx.exit(run_dashboard(settings))


def run_dashboard(settings: Settings, seconds: float | None = None) -> int:
    """Opens the dashboard; returns its exit code. With `seconds` it ends by itself after so many.

    A connection that can't be made is told on the screen and tried again.
    """
    # What is loaded stays: looking for garbage in it costs a tenth of the start.
    gc.disable()
    from pgwatch_tests.locks.lookups import LIMITS
    from pgwatch_tests.locks.watch import LockWatch

    async def run() -> int:
        async with LockWatch(settings) as watch:
            # The server's first answer is under way while Python loads the screen, which takes as long.
            under_way = [asyncio.create_task(watch.read())]
            await asyncio.to_thread(import_module, "pgwatch_tests.tui.app")
            from pgwatch_tests.tui.app import Dashboard
            from pgwatch_tests.tui.leaving import run_until_left

            gc.freeze()
            gc.enable()

            def read_locks() -> Awaitable[LockSnapshot]:
                return under_way.pop() if under_way else watch.read()

            async def read_leaks() -> LeakReport:
                # A scan's own attempt to connect ends with the scan, and may leave a waiting backend behind.
                (await watch.opening.connect(LIMITS)).pgconn.finish()
                from pgwatch_tests.leaks.count import LeakScan
                from pgwatch_tests.leaks.gate import DEFAULT_KINDS

                scan = LeakScan(settings, kinds=DEFAULT_KINDS)
                try:
                    return await _in_daemon_thread(scan.run)
                except asyncio.CancelledError:
                    scan.cancel()
                    raise

            async def do(action: Action) -> Outcome:
                from pgwatch_tests.locks.act import act

                return await act(settings, action)

            app = Dashboard(
                read_locks,
                read_leaks,
                act=None if settings.read_only else do,
                read_held=watch.held,
                refresh_s=settings.refresh_s,
            )
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, app.exit, 0)
            return await run_until_left(app)

    return asyncio.run(run())


async def _in_daemon_thread(work: Callable[[], T]) -> T:
    """The result of `work`, run in a thread that nobody waits for when the program ends."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[], None]) -> None:
        if not outcome.done():
            set_outcome()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits for the outcome
            _tell(loop, settle, partial(outcome.set_exception, error))
        else:
            _tell(loop, settle, partial(outcome.set_result, result))

    threading.Thread(target=run, daemon=True, name="leak scan").start()
    return await outcome


def _tell(
    loop: asyncio.AbstractEventLoop,
    settle: Callable[[Callable[[], None]], None],
    set_outcome: Callable[[], None],
) -> None:
    # RuntimeError: the loop is closed, since the dashboard was left.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle, set_outcome)


def is_interactive() -> bool:
    """Whether a dashboard can be shown: it reads from stdin and draws through stderr, as Textual does."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
