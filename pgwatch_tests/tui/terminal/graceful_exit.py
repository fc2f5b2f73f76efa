"""Graceful exit of the dashboard: on quit, on SIGTERM, and when its terminal is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
import threading
import time
from collections.abc import Callable
from functools import partial

from textual.app import App
from textual.constants import DRIVER
from textual.worker import WorkerFailed

from pgwatch_tests.tui.terminal.quiet_driver import sleep_until_input
from pgwatch_tests.tui.terminal.stream import drawn_on

_LOOK_EVERY_S = 1.0


async def run_until_left(app: App[int]) -> int:
    """Runs the dashboard until its user quits. Returns the exit code: 143 after SIGTERM.

    Raises what ended it otherwise.
    """
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, app.exit, 143)
    end_with_terminal()
    sleep_until_input(app)
    try:
        result = await app.run_async()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
    fault = app._exception
    # Left while it is still being built, Textual misses widgets that it has taken away.
    if fault is not None and not app._exit:
        raise fault.error if isinstance(fault, WorkerFailed) else fault
    return result or 0


def end_with_terminal() -> None:
    """Starts a thread that ends the process, as SIGHUP does, once what it is drawn on is gone.

    The kernel sends no SIGHUP to the leader of another session (`setsid`, `su -c`). Textual would then block
    for ever on a write, and with it the event loop, its timers and its signal handlers. What is drawn in a
    browser is drawn by its parent: it wouldn't notice the end of that as long as it has nothing to draw.
    """
    if DRIVER is not None:
        parent = os.getppid()
        _watch(lambda: os.getppid() != parent)
        return
    stream = drawn_on()
    try:
        descriptor = -1 if stream is None else stream.fileno()
        termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):
        return  # not drawn on a terminal
    _watch(partial(_is_closed, descriptor))


def _is_closed(terminal: int) -> bool:
    try:
        termios.tcgetattr(terminal)
    except (OSError, termios.error):
        return True
    return False


def _watch(is_gone: Callable[[], bool]) -> None:
    threading.Thread(target=_end_once, args=(is_gone,), name="terminal", daemon=True).start()


def _end_once(is_gone: Callable[[], bool]) -> None:
    while not is_gone():
        time.sleep(_LOOK_EVERY_S)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGHUP)
    time.sleep(_LOOK_EVERY_S)
    os._exit(128 + signal.SIGHUP)  # if SIGHUP is ignored, there is still nothing left to show
