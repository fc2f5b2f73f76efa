"""Graceful exit of the dashboard: on quit, on SIGTERM, and when its terminal is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
import time

from textual.app import App

_LOOK_EVERY_S = 1.0


async def run_until_left(app: App[int]) -> int:
    """Runs the dashboard until its user quits. Returns the exit code: 143 after SIGTERM."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, app.exit, 143)
    end_with_terminal()
    try:
        result = await app.run_async()
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
    return app.return_code or result or 0


def end_with_terminal() -> None:
    """Starts a thread that ends the process, as SIGHUP does, once its terminal is gone.

    The kernel sends no SIGHUP to the leader of another session (`setsid`, `su -c`). Textual would then block
    for ever on a write, and with it the event loop, its timers and its signal handlers.
    """
    try:
        descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else -1
        termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):
        return  # not drawn on a terminal
    threading.Thread(target=_watch, args=(descriptor,), name="terminal", daemon=True).start()


def _watch(descriptor: int) -> None:
    while True:
        time.sleep(_LOOK_EVERY_S)
        try:
            termios.tcgetattr(descriptor)
        except (OSError, termios.error):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGHUP)
            time.sleep(_LOOK_EVERY_S)
            os._exit(128 + signal.SIGHUP)  # if SIGHUP is ignored, there is still nothing left to show
