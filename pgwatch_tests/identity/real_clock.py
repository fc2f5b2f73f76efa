"""The machine's real time: the same where a test has frozen Python's clock, or moved it.

freezegun replaces the functions of `time`, and time-machine what these functions do; neither reaches the
C library. A value that is stamped with a frozen time would be taken for one of another run, or for too young.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from array import array
from collections.abc import Callable

_REALTIME = 0
"""CLOCK_REALTIME (<time.h>): 0 on Linux and macOS. `time.CLOCK_REALTIME` is there on no other system."""
_NS = 1_000_000_000


class _TimeSpec(threading.local):
    """A `struct timespec` of each thread's own: seconds and nanoseconds, both `long`."""

    def __init__(self) -> None:
        self.values = array("l", (0, 0))
        self.address = self.values.buffer_info()[0]


def _of_the_c_library() -> Callable[[], int]:
    """Returns a clock that asks the C library; Python's own on a system that has none of that name."""
    if sys.platform == "win32":
        return time.time_ns
    try:
        # Keeps the interpreter's lock: to give it away takes longer than the call.
        ask = ctypes.PyDLL(None).clock_gettime
    except (OSError, AttributeError):
        return time.time_ns
    ask.argtypes, ask.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_int
    now = _TimeSpec()

    def now_ns() -> int:
        if ask(_REALTIME, now.address):
            return time.time_ns()
        seconds, nanoseconds = now.values
        return seconds * _NS + nanoseconds

    return now_ns


real_time_ns = _of_the_c_library()
"""Returns nanoseconds since 1970, in about 1 µs."""


def real_time_ms() -> int:
    """Returns milliseconds since 1970: what a value is stamped with."""
    return real_time_ns() // 1_000_000
