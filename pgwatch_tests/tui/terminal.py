"""Notices that the terminal has gone, where no SIGHUP says so."""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import time

_LOOK_EVERY_S = 1.0


def end_with_terminal() -> None:
    """Ends the process, as SIGHUP does, once the terminal that it draws on is gone.

    A session leader of another session (`setsid`, `su -c`) isn't told. Textual would then wait for ever to
    write to nobody: the event loop with all its timers and signal handlers stands still.
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
            os._exit(128 + signal.SIGHUP)  # whoever ignores SIGHUP has nothing left to show either
